"""The studio in a real browser: edits change samples, and songs that come later play."""

import os
import re

import pytest

from multigan.core.protocols import Sampler
from tests.html_checks import png
from tests.run_helpers import tiny_recipe
from tests.studio.server_process import running

pytestmark = pytest.mark.browser
WAIT = 120_000  # milliseconds: machines are busy
FOUND = re.compile(r"^[\d.]+ s")  # the status once samples are there
REFUSED = "400 (Bad Request)"  # a browser says so of every refusal


@pytest.fixture
def opened(browser, request):
    """The page of a tiny generator of a domain, and what it complained of."""
    recipe = tiny_recipe(request.param)
    complaints = []
    generator = recipe.generator.eval().requires_grad_(False)
    with running(Sampler(recipe.data.domain, generator), request.param) as port:
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.set_default_timeout(WAIT)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(f"http://127.0.0.1:{port}/")
        driver = pytest.importorskip("playwright.sync_api")
        driver.expect(tab.locator("#status")).to_have_text(FOUND, timeout=WAIT)
        yield tab
        tab.close()
    assert [said for said in complaints if REFUSED not in said] == []


def shot(tab, name):
    """A screenshot, if MULTIGAN_SHOTS names a folder for it."""
    if folder := os.environ.get("MULTIGAN_SHOTS"):
        tab.screenshot(path=f"{folder}/studio-{name}.png", full_page=True)


def html_after(tab, act):
    """What is shown once it is something else than before."""
    before = tab.locator("#samples").inner_html()
    act()
    changed = "before => document.getElementById('samples').innerHTML !== before"
    tab.wait_for_function(changed, arg=before)
    return tab.locator("#samples").inner_html()


@pytest.mark.parametrize("opened", ["image"], indirect=True)
def test_moving_a_slider_shows_other_samples_and_the_middle_the_first_ones(opened):
    first = opened.locator("#samples").inner_html()
    assert opened.locator("#samples img").count() == 16
    assert opened.locator("#command").inner_text() == "multigan sample image -n 16 --seed 0"
    slider = opened.get_by_label("direction 1")
    moved = html_after(opened, lambda: slider.press("ArrowRight"))
    assert moved != first and opened.locator("#command").inner_text() == ""
    shot(opened, "image")
    assert html_after(opened, lambda: opened.get_by_text("reset").click()) == first
    assert opened.locator("#samples .actions").count() == 16
    assert opened.locator("[name=option-label]").count() == 0  # the boxes say the same
    boxes = opened.locator("[data-name=option-labels] input")
    assert html_after(opened, lambda: boxes.nth(3).check()) != first
    assert "--labels 3" in opened.locator("#command").inner_text()
    boxes.nth(4).evaluate("box => { box.value = 'no such class' }")
    boxes.nth(4).check()
    opened.locator("#status.error").wait_for()
    assert "no such class" in opened.locator("#status").inner_text()


@pytest.mark.parametrize("opened", ["music"], indirect=True)
def test_songs_play_also_those_that_came_later(opened):
    html_after(opened, lambda: opened.locator("[name=n]").fill("2"))
    opened.wait_for_function("() => document.querySelectorAll('#samples button.play').length === 2")
    opened.locator("#samples button.play").first.click()
    opened.wait_for_function("() => Number(document.querySelector('.place input').value) > 0.2")
    shot(opened, "music")
    html_after(opened, lambda: opened.get_by_text("another").click())
    assert opened.locator("#samples button.play").first.inner_text() == "Play"


@pytest.mark.parametrize("opened", ["text"], indirect=True)
def test_a_prompt_begins_every_line(opened):
    html_after(opened, lambda: opened.locator("[name=option-prompt]").fill("the"))
    lines = opened.locator("#samples .line").all_inner_texts()
    assert len(lines) == 16 and all(line.startswith("the") for line in lines)
    shot(opened, "text")


@pytest.mark.parametrize("opened", ["image"], indirect=True)
def test_samples_are_locked_kept_compared_and_saved(opened):
    source = lambda k: opened.locator("#samples img").nth(k).get_attribute("src")  # noqa: E731
    before = [source(0), source(1)]
    opened.get_by_label("lock sample 1 in its place", exact=True).click()
    opened.get_by_label("keep sample 2", exact=True).click()
    opened.locator("#compare").click()
    html_after(opened, lambda: opened.locator("#another").click())
    assert source(0) == before[0] and source(1) != before[1]
    assert opened.locator("#kept img").get_attribute("src") == before[1]
    assert opened.locator("#before img").nth(1).get_attribute("src") == before[1]
    with opened.expect_download() as saved:
        opened.get_by_label("save sample 2 as a file", exact=True).click()
    assert saved.value.suggested_filename.endswith((".png", ".zip"))
    opened.get_by_label("remove kept sample 1").click()
    assert not opened.locator("#kept").is_visible()


@pytest.mark.parametrize("opened", ["music"], indirect=True)
def test_a_task_shows_its_own_options_and_asks_for_its_file(opened):
    visible = lambda name: opened.locator(f"[name=option-{name}]").is_visible()  # noqa: E731
    assert visible("bars") and not visible("given") and not visible("continue_from")
    opened.get_by_role("button", name="accompany").click()
    assert visible("given") and not visible("bars")
    opened.locator("#status", has_text="choose a file for: given").wait_for()


@pytest.mark.parametrize("opened", ["image"], indirect=True)
def test_samples_are_in_view_on_a_phone_above_and_beside_the_form(opened):
    opened.set_viewport_size({"width": 390, "height": 844})
    top = "document.querySelector('#samples img').getBoundingClientRect().top"
    assert opened.evaluate(top) < 422  # the upper half
    opened.get_by_label("direction 4").scroll_into_view_if_needed()
    assert 0 <= opened.evaluate(top) < 422
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    shot(opened, "phone")


@pytest.mark.parametrize("opened", ["image"], indirect=True)
def test_components_classes_and_an_uploaded_image_change_the_samples(opened, tmp_path):
    first = opened.locator("#samples").inner_html()
    component = opened.get_by_label("component 1")
    assert html_after(opened, lambda: component.press("ArrowRight")) != first
    assert html_after(opened, lambda: opened.get_by_text("reset").click()) == first
    opened.locator("[name=class_index]").select_option("3")
    slider = opened.get_by_label("class fraction")
    assert html_after(opened, lambda: slider.press("ArrowRight")) != first
    assert html_after(opened, lambda: opened.get_by_text("reset").click()) == first
    file = tmp_path / "digit.png"
    file.write_bytes(png(16, 16))
    upload = opened.locator("[name=project]")
    assert html_after(opened, lambda: upload.set_input_files(file)) != first
    assert opened.locator("#command").inner_text() == ""
    shot(opened, "projected")
    assert html_after(opened, lambda: opened.get_by_text("reset").click()) == first
