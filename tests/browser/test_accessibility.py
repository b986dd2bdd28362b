"""Pages pass axe-core in light and dark, on a screen and on a phone; their console is silent."""

import importlib.util
from pathlib import Path

import pytest

from multigan.core.protocols import Sampler
from multigan.report.report import page
from multigan.studio import watch
from tests.html_checks import shown_run, written_run
from tests.run_helpers import tiny_recipe
from tests.studio.server_process import running, serving

pytestmark = pytest.mark.browser
WAIT = 120_000  # milliseconds: machines are busy
SERIOUS = ("serious", "critical")
MAX_BYTES = 5_000_000  # of a page
# Words of the tests stand for data; only their order of headings and regions is not judged.
AXE = """async () => (await axe.run({resultTypes: ['violations']})).violations
  .filter((one) => %s.includes(one.impact))
  .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)}`))"""


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core, which a package for tests carries; skipped where there is none."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("no axe-core: pip install --no-deps axe-playwright-python")
    return (Path(package.origin).parent / "axe.min.js").read_text()


@pytest.fixture(params=["light", "dark"])
def faults(browser, axe, request):
    """A function from an address to the serious faults and the complaints of the console."""

    def check(address, settled, width=1280):
        said = []
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=request.param)
        tab.set_default_timeout(WAIT)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(address)
        tab.locator(settled).first.wait_for()
        tab.evaluate(axe)
        found = tab.evaluate(AXE % list(SERIOUS))
        tab.close()
        return sorted(set(found)) + said

    return check


@pytest.mark.parametrize("runs", [1, 5], ids=["report", "comparison"])
def test_a_page_in_a_file_has_no_serious_fault(tmp_path, faults, runs):
    views = shown_run(tmp_path / "run")
    file = tmp_path / "page.html"
    file.write_text(page("A page", views[-runs:] if runs > 1 else views[1:2]))
    assert file.stat().st_size < MAX_BYTES
    assert faults(file.as_uri(), "h1") == []


def test_the_live_page_has_no_serious_fault(tmp_path, faults):
    run = written_run(tmp_path / "run")
    with serving(lambda port: watch.application(run, port)) as port:
        assert faults(f"http://127.0.0.1:{port}/", "h1", width=390) == []


@pytest.mark.parametrize("name", ["image", "music", "text"])
def test_the_studio_has_no_serious_fault(faults, name):
    recipe = tiny_recipe(name)
    generator = recipe.generator.eval().requires_grad_(False)
    with running(Sampler(recipe.data.domain, generator), name) as port:
        assert faults(f"http://127.0.0.1:{port}/", "#samples .actions") == []
