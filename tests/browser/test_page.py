"""Reports in a real browser, from a file: songs play, slides and zoom work, without errors."""

import pytest

from multigan.report.report import page
from tests.html_checks import shown_run

pytestmark = pytest.mark.browser
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A page with samples of every type."""
    folder = tmp_path_factory.mktemp("page")
    file = folder / "page.html"
    file.write_text(page("A page", shown_run(folder / "run")))
    return file


@pytest.fixture
def opened(browser, file):
    """Open the page; console messages, errors, dialogs and requests fail the test."""
    complaints = []

    def open_page(size=WIDE, **options):
        tab = browser.new_page(viewport=size, **options)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: complaints.append(dialog.message))
        tab.on("request", lambda request: complaints.append(request.url[:60]))
        tab.goto(file.as_uri())
        tabs.append(tab)
        return tab

    tabs = []
    yield open_page
    for tab in tabs:
        tab.close()
    own = ("file://", "data:")
    assert [entry for entry in complaints if not entry.startswith(own)] == []


def until(tab, expression, seconds=20):
    """Wait for it to be true; the page's policy forbids the driver's own way, which evaluates."""
    for _ in range(seconds * 20):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def test_a_song_plays_moves_and_stops(opened):
    tab = opened()
    song = tab.locator(".song").first
    button, place = song.locator("button.play"), song.locator(".place input")
    before = song.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    button.click()
    until(tab, "Number(document.querySelector('.place input').value) > 0.5")
    assert button.inner_text() == "Pause"
    assert song.locator("canvas").evaluate("canvas => canvas.toDataURL()") != before
    tab.set_viewport_size(PHONE)
    assert button.inner_text() == "Pause"
    button.press("Space")
    assert button.inner_text() == "Play"
    stopped = place.evaluate("input => Number(input.value)")
    tab.wait_for_timeout(150)
    assert place.evaluate("input => Number(input.value)") == stopped


def test_one_song_plays_at_a_time_and_comes_to_its_end(opened):
    tab = opened()
    first, second = (tab.locator("button.play").nth(k) for k in (0, 1))
    first.click()
    second.click()
    assert (first.inner_text(), second.inner_text()) == ("Play", "Pause")
    until(tab, "document.querySelectorAll('button.play')[1].textContent === 'Play'")
    assert tab.locator(".place input").nth(1).input_value() == "0"


def test_a_track_is_muted_and_the_tempo_changed_while_it_plays(opened):
    tab = opened()
    song = tab.locator(".song").first
    song.locator("button.play").click()
    song.locator(".tracks input").first.uncheck()
    song.get_by_label("tempo of").press("ArrowLeft")
    assert "239 bpm" in song.inner_text()
    assert song.locator("button.play").inner_text() == "Pause"


def test_a_slider_shows_one_moment_at_a_time(opened):
    tab = opened()
    slides = tab.locator(".slides").first
    slider = slides.locator(".slider-bar input")
    visible = "box => [...box.querySelectorAll('.slide')].map(slide => !slide.hidden)"
    assert slides.evaluate(visible) == [False, True]
    slider.press("ArrowLeft")
    assert slides.evaluate(visible) == [True, False]
    assert slides.locator("output").first.inner_text() == "step 1"


def test_a_curve_is_read_off_and_zoomed_with_the_keyboard(opened):
    tab = opened()
    plot = tab.locator(".plot").nth(1)  # of every step; the first is of the checkpoints
    legend = plot.locator(".u-legend")
    assert "200" in legend.inner_text()  # the last step
    plot.press("ArrowLeft")
    until(tab, "document.querySelectorAll('.u-legend')[1].textContent.includes('199')")
    shown = plot.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    plot.press("+")
    tab.wait_for_timeout(100)
    assert plot.locator("canvas").evaluate("canvas => canvas.toDataURL()") != shown


def test_every_control_has_a_name_and_every_image_a_text(opened):
    tab = opened()
    nameless = """() => [...document.querySelectorAll("input, button, img, canvas[role]")].filter(
        (one) => !(one.getAttribute("aria-label") || one.alt || one.textContent.trim()
            || (one.labels && one.labels.length))).length"""
    assert tab.evaluate(nameless) == 0


@pytest.mark.parametrize("size", [WIDE, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_page(opened, size, scheme):
    tab = opened(size, color_scheme=scheme)
    tab.locator("details").first.evaluate("details => { details.open = true; }")
    tab.wait_for_timeout(100)
    root = "document.documentElement"
    assert tab.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_it_can_be_read_without_scripts(opened):
    tab = opened(java_script_enabled=False)
    assert tab.locator("h2").count() == 9 and tab.locator(".slide").nth(1).is_visible()


def test_an_image_is_enlarged_zoomed_and_closed_with_the_keyboard(opened):
    tab = opened()
    tab.locator(".opener").first.press("Enter")
    large = tab.locator(".viewer img")
    width = large.evaluate("image => image.width")
    assert width > 100 and large.get_attribute("class") == "pixels"  # 8 pixels a side
    tab.keyboard.press("-")
    assert large.evaluate("image => image.width") < width
    tab.keyboard.press("0")
    assert large.evaluate("image => image.width") == width
    tab.keyboard.press("Escape")
    assert not large.is_visible()
    assert tab.evaluate("document.activeElement.className") == "opener"


def test_a_song_is_saved_as_midi_and_a_table_as_csv(opened, tmp_path):
    from multigan.music.formats.midi import read_midi

    tab = opened()
    with tab.expect_download() as saved:
        tab.get_by_label("save sample 1 as MIDI").first.click()
    saved.value.save_as(tmp_path / "song.mid")
    song = read_midi(tmp_path / "song.mid")
    assert [[note.pitch_midi for note in track.notes] for track in song.tracks] == [[60], [36]]
    assert round(song.mean_tempo_bpm) == 240 and song.tracks[1].is_drum
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="save the table metrics as CSV").first.click()
    saved.value.save_as(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text().splitlines()[1].endswith(",0.25")
