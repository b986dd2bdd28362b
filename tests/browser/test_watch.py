"""The live page in a real browser: curves and samples grow while the run is trained."""

import json
import os

import pytest

from multigan.studio import watch
from tests.html_checks import png, write_lines, written_run
from tests.studio.server_process import serving

pytestmark = pytest.mark.browser
WAIT = 120_000  # milliseconds: machines are busy


@pytest.fixture
def run(tmp_path):
    return written_run(tmp_path / "run")


@pytest.fixture(params=[1280, 390])
def tab(browser, run, request):
    """The page at the width of a screen and of a phone; it must not complain or scroll sideways."""
    complaints = []
    with serving(lambda port: watch.application(run, port)) as port:
        tab = browser.new_page(viewport={"width": request.param, "height": 900})
        tab.set_default_timeout(WAIT)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(f"http://127.0.0.1:{port}/")
        yield tab
        if folder := os.environ.get("MULTIGAN_SHOTS"):
            tab.screenshot(path=f"{folder}/watch-{request.param}.png", full_page=True)
        assert tab.evaluate("document.documentElement.scrollWidth") <= request.param
        tab.close()
    assert complaints == []


def label_of_losses(tab):
    return tab.locator(".plot[aria-label^='Losses']").get_attribute("aria-label")


def test_curves_and_samples_grow_and_follow_a_resumed_run(tab, run):
    driver = pytest.importorskip("playwright.sync_api")
    assert label_of_losses(tab).endswith("generator 0.005")
    slides = tab.locator(".slides .slide")
    driver.expect(slides).to_have_count(2)
    log = run / "log.jsonl"
    with log.open("a") as stream:
        stream.write(json.dumps({"step": 300, "seconds": 3, "loss/generator": 0.125}) + "\n")
    (run / "samples" / "step-000000300.png").write_bytes(png())
    driver.expect(tab.locator(".plot[aria-label$='generator 0.125']")).to_have_count(1)
    driver.expect(slides).to_have_count(3)
    driver.expect(tab.locator(".slider-bar output")).to_have_text("step 300")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    write_lines(log, lines[:100])  # resumed from step 100
    driver.expect(tab.locator(".plot[aria-label$='generator 0.01']")).to_have_count(1)
    driver.expect(tab.locator("#live")).to_have_text("live")


def test_what_a_person_has_changed_stays(tab, run):
    driver = pytest.importorskip("playwright.sync_api")
    slider = tab.get_by_label("Step of the training")
    slider.press("Home")
    driver.expect(tab.locator(".slider-bar output")).to_have_text("step 100")
    tab.locator("details").last.evaluate("box => { box.open = true; }")
    slider.evaluate("slider => slider.blur()")
    (run / "samples" / "step-000000300.png").write_bytes(png())
    driver.expect(tab.locator(".slides .slide")).to_have_count(3)
    driver.expect(tab.locator(".slider-bar output")).to_have_text("step 100")
    assert tab.locator("details").last.evaluate("box => box.open")
