"""The studio over HTTP: whom it answers, what it sends, what it refuses, and how it stops."""

import base64
import json
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from multigan.core.protocols import Medium, Sampler
from multigan.report.html_builder import render_media
from multigan.storage.loading import load
from multigan.studio import server
from multigan.studio.form import form, wishes_of
from multigan.studio.handlers import RequestHandler
from tests.run_helpers import DOMAINS, tiny_recipe
from tests.studio.server_process import ask, asked, running

pytest.importorskip("starlette", reason="pip install 'multigan[studio]'")
pytest.importorskip("uvicorn", reason="pip install 'multigan[studio]'")


@dataclass(frozen=True)
class Wishful:
    """A domain with a wish of each type."""

    def sample(self, generator, n, rng, *, word: str | None = None, times: int = 1,
               warmth: float = 1.0, loud: bool = False, given: Path | None = None,
               voice: str | None = None, absent: str | None = None):  # fmt: skip
        """Lines.

        word: what they say <b>
        """
        if word == "no":
            raise ValueError(f"{given}: no")
        said = f"{word} {times} {warmth} {loud}"
        return [f"{said} {given.name} {given.read_text()}" if given else said] * n

    def media(self, samples):
        return [Medium("text/plain", line.encode()) for line in samples]

    def option_choices(self):
        return {"voice": ["high", "low"], "absent": []}


def sampler_of(name):
    recipe = tiny_recipe(name)
    return Sampler(recipe.data.domain, recipe.generator.eval().requires_grad_(False))


@pytest.fixture(scope="module")
def wishful():
    return Sampler(Wishful(), tiny_recipe("points").generator)


@pytest.fixture(scope="module")
def port(wishful):
    with running(wishful, "<i>run") as port:
        yield port


def file_of(content, name="tune.mid"):
    return {"name": name, "content": base64.b64encode(content).decode()}


def test_the_page_is_sent_with_a_policy_that_loads_nothing_from_elsewhere(port):
    status, headers, page = ask(port, "/")
    policy = headers["Content-Security-Policy"]
    assert status == 200 and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "&lt;i&gt;run" in page and "<i>run" not in page
    for path, word in (("/studio.js", "fetch("), ("/studio.css", "#form")):
        status, _, text = ask(port, path)
        assert status == 200 and word in text and path in page
    assert ask(port, "/../pyproject.toml")[0] == 404


def test_samples_are_made_of_the_wishes_in_their_types(port):
    wishes = {"word": "<x>", "times": "3", "warmth": "0.5", "loud": True, "given": file_of(b"la")}
    status, _, text = ask(port, "/samples", asked(n=2, seed=7, wishes=wishes))
    answer = json.loads(text)
    assert status == 200
    line = b"<x> 3 0.5 True tune.mid la"
    assert answer["html"] == render_media([Medium("text/plain", line)] * 2)
    assert answer["command"] == (
        "multigan sample '<i>run' -n 2 --seed 7 --word '<x>' --times 3 --warmth 0.5 --loud "
        "--given tune.mid"
    )
    moved = json.loads(ask(port, "/samples", asked(share=0.5))[2])
    assert moved["command"] == "" and "None 1 1.0 False" in moved["html"]


def test_the_command_names_the_recipe_file_that_the_run_cannot_be_loaded_without(wishful):
    maker = RequestHandler(wishful, "runs/mine", Path("my own.py"))
    wanted = "multigan sample runs/mine -n 4 --seed 0 --trust 'my own.py'"
    assert maker.make(asked())["command"] == wanted


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/samples"])
def test_who_comes_from_elsewhere_is_refused(port, headers, path):
    given = {name: value.format(port=port) for name, value in headers.items()}
    status, _, text = ask(port, path, None if path == "/" else asked(), **given)
    assert status == 403 and "error" in json.loads(text)


def test_the_page_itself_is_answered_under_both_names(port):
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        own = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
        assert ask(port, "/samples", asked(), **own)[0] == 200


def test_what_a_foreign_form_could_send_is_refused(port):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert ask(port, "/samples", asked(), Content_Type=kind)[0] == 415
    assert ask(port, "/samples")[0] == 405


def test_more_than_the_limit_is_refused_declared_or_not(port, monkeypatch):
    monkeypatch.setattr(server, "MOST_BYTES", 1000)
    large = asked(wishes={"word": "x" * 1000})
    assert ask(port, "/samples", large)[0] == 413
    body = json.dumps(large).encode()
    head = f"POST /samples HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode())
        line.sendall(body + b"\r\n0\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Expecting"),
        (b"[" * 100_000, ""),
        (b"3", "wanted a JSON object"),
        (asked(n=0), "how many is 0; wanted a whole number from 1 to 512"),
        (asked(n=True), "how many is True"),
        (asked(seed=None), "seed is None"),
        (asked(share=2), "how far is 2; wanted a number from 0 to 1"),
        (asked(places=[0] * 9), "places are no list"),
        (asked(places=["x"]), "a direction is 'x'"),
        (asked(wishes=[]), "wishes are no JSON object"),
        (asked(wishes={"generator": "x"}), "no wish is called 'generator'"),
        (asked(wishes={"absent": "x"}), "no wish is called 'absent'"),
        (asked(wishes={"times": "1.5"}), "times is '1.5'; wanted a whole number"),
        (asked(wishes={"warmth": "nan"}), "warmth is 'nan'; wanted a finite number"),
        (asked(wishes={"warmth": "hot"}), "warmth is 'hot'; wanted a number"),
        (asked(wishes={"word": 3}), "word is 3; wanted text"),
        (asked(wishes={"loud": "yes"}), "loud is 'yes'"),
        (asked(wishes={"given": "/etc/passwd"}), "given is no file"),
        (asked(wishes={"given": {"name": "x", "content": "§"}}), "given"),
    ],
)
def test_what_cannot_be_made_is_answered_in_one_line(port, body, said):
    status, _, text = ask(port, "/samples", body)
    error = json.loads(text)["error"]
    assert status == 400 and said in error and "\n" not in error


@pytest.mark.parametrize(
    "name", ["../../up.mid", "/etc/passwd", "..", "", "a\x00b\n.mid", "x" * 999]
)
def test_a_file_lies_in_a_folder_of_its_own_whatever_it_is_called(wishful, name):
    answer = RequestHandler(wishful, "run").make(asked(wishes={"given": file_of(b"la", name)}))
    given = shlex.split(answer["command"])[-1]
    assert f"{given} la" in answer["html"] and Path(given).name == given and given.strip(".")


def test_an_error_names_the_file_and_not_where_it_lay(wishful):
    wishes = {"word": "no", "given": file_of(b"la")}
    with pytest.raises(ValueError, match=r"\Agiven/tune.mid: no\Z"):
        RequestHandler(wishful, "run").make(asked(wishes=wishes))


def test_the_form_has_a_control_for_each_wish_of_its_type(wishful):
    page = form(wishful)
    assert [option.name for option in wishes_of(wishful)][-1] == "voice"
    for control in (
        '<input name="wish-word" type="text">',
        '<input name="wish-times" type="number" step="1">',
        '<input name="wish-warmth" type="number" step="any">',
        '<input name="wish-loud" type="checkbox">',
        '<input name="wish-given" type="file">',
        '<input name="wish-voice" list="wish-voice-choices" type="text">',
        '<option value="high"></option>',
        "what they say &lt;b&gt;",
        'name="place-3"',
    ):
        assert control in page
    assert "absent" not in page


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_is_shown_with_its_wishes(name):
    sampler = sampler_of(name)
    page = form(sampler)
    assert all(f'name="wish-{option.name}"' in page for option in wishes_of(sampler))
    assert ("place-0" in page) == hasattr(sampler.generator, "interpolate")
    answer = RequestHandler(sampler, name).make(asked(n=2))
    assert answer["html"].startswith('<ol class="media') and "no view" not in answer["html"]
    assert answer["command"] == f"multigan sample {name} -n 2 --seed 0"


def test_a_taken_port_is_said(port, wishful):
    with pytest.raises(ValueError, match=rf"port {port} cannot be had .*choose another --port"):
        server.serve(wishful, "run", port)
    with pytest.raises(ValueError, match="port 99999 cannot be had"):
        server.serve(wishful, "run", 99999)


def test_a_missing_server_is_answered_with_the_line_that_installs_it(wishful, monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs starlette and uvicorn: pip install 'multigan\[st"):
        server.serve(wishful, "run", 0)


def test_the_command_says_its_address_serves_and_stops_at_ctrl_c(points_run):
    words = [sys.executable, "-m", "multigan", "studio", str(points_run), "--port", "0"]
    started = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with started as process:
        try:
            line = process.stdout.readline()
            address = line.split(": ")[1].split(" ")[0]
            assert address.startswith("http://127.0.0.1:") and "Ctrl-C stops it" in line
            request = urllib.request.Request(
                f"{address}samples",
                json.dumps(asked()).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert "data:image/" in json.load(answer)["html"]
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "stopped\n", "")
    assert load(points_run)
