"""The live page of a run: it follows the files, and answers its own page on this machine only."""

import json
import re
import shutil

import pytest

from multigan.studio import watch
from tests.html_checks import EVIL, Elements, png, write_lines, written_run
from tests.studio.server_process import ask, serving

pytest.importorskip("starlette", reason="pip install 'multigan[studio]'")
pytest.importorskip("uvicorn", reason="pip install 'multigan[studio]'")


@pytest.fixture
def run(tmp_path):
    return written_run(tmp_path / "run")


@pytest.fixture
def port(run):
    with serving(lambda port: watch.application(run, port)) as port:
        yield port


def version(port):
    return json.loads(ask(port, "/version")[2])["version"]


def charts_of(html):
    return [json.loads(text) for kind, text in Elements(html).scripts if kind]


def test_it_shows_the_report_with_what_was_logged_so_far(port, run):
    status, headers, html = ask(port, "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    elements = Elements(html)
    assert "Stability" in elements.text and "Quality" in elements.text
    assert len([name for name, _ in elements.found if name == "img"]) == 1  # the preview
    assert EVIL not in html and "<img src=x" not in html
    (main,) = [a for name, a in elements.found if name == "main"]
    assert main["data-version"] == version(port)
    assert not re.search(r"<script>|<style>", html)  # the policy of the server allows neither


def test_every_change_of_a_file_makes_another_version_and_page(port, run):
    before, pages = version(port), [ask(port, "/")[2]]
    assert version(port) == before and ask(port, "/")[2] == pages[0]
    log = run / "log.jsonl"
    with log.open("a") as stream:  # training goes on
        stream.write(json.dumps({"step": 201, "loss/generator": 0.125, "logits/gap": 0.5}) + "\n")
    assert version(port) != before
    losses = next(c for c in charts_of(ask(port, "/")[2]) if c["title"] == "Losses")
    assert (losses["series"][0]["steps"][-1], losses["series"][0]["values"][-1]) == (201, 0.125)
    (run / "samples" / "step-000000300.png").write_bytes(png())
    assert "step 300" in ask(port, "/")[2]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    write_lines(log, lines[:100])  # resumed from step 100
    losses = next(c for c in charts_of(ask(port, "/")[2]) if c["title"] == "Losses")
    assert losses["series"][0]["steps"][-1] == 100


def test_scripts_and_styles_come_from_this_server_under_its_policy(port):
    for path in ("/watch.js", "/watch.css"):
        status, headers, text = ask(port, path)
        assert status == 200 and len(text) > 1000
        assert headers["Cache-Control"] == "no-store"
    assert "uPlot" in ask(port, "/watch.js")[2][:200]  # its license
    rules = dict(
        rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";")
    )
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'"
    assert rules["script-src"] == rules["style-src"] == "'self'"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}],
)
def test_other_hosts_and_origins_are_refused(port, headers):
    for path in ("/", "/version", "/watch.js"):
        assert ask(port, path, **headers)[0] == 403


def test_nothing_can_be_sent_to_it(port):
    assert ask(port, "/", {"any": "thing"})[0] == 405
    assert ask(port, "/recipe.json")[0] == 404


def test_a_run_that_disappears_is_an_answer_and_not_the_end(port, run):
    assert ask(port, "/")[0] == 200
    shutil.move(run / "recipe.json", run / "elsewhere.json")
    status, _, text = ask(port, "/")
    assert status == 503 and "is no run directory" in json.loads(text)["error"]
    shutil.move(run / "elsewhere.json", run / "recipe.json")
    assert ask(port, "/")[0] == 200


def test_a_directory_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no run directory"):
        watch.watch(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
