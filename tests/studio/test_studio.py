"""The studio over HTTP: origins, responses, rejected requests, and shutdown."""

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

from multigan.core.protocols import Medium, Sampler, SupportsInterpolation
from multigan.report.html_elements import render_media
from multigan.storage.loading import load
from multigan.studio import server
from multigan.studio.form import form, requestable_options
from multigan.studio.handlers import RequestHandler
from tests.run_helpers import DOMAINS, tiny_recipe
from tests.studio.server_process import ask, request_body, running

pytest.importorskip("starlette", reason="pip install 'multigan[studio]'")
pytest.importorskip("uvicorn", reason="pip install 'multigan[studio]'")


@dataclass(frozen=True)
class EveryOption:
    """A domain with a sampling option of each type."""

    def sample(self, generator, n, rng, *, word: str | None = None, times: int = 1,
               warmth: float = 1.0, loud: bool = False, given: Path | None = None,
               voice: str | None = None, absent: str | None = None):  # fmt: skip
        """Lines.

        word: the text <b>
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
def every_option():
    return Sampler(EveryOption(), tiny_recipe("points").generator)


@pytest.fixture(scope="module")
def port(every_option):
    with running(every_option, "<i>run") as port:
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


def test_options_are_converted_to_their_types(port):
    options = {"word": "<x>", "times": "3", "warmth": "0.5", "loud": True, "given": file_of(b"la")}
    status, _, text = ask(port, "/samples", request_body(n=2, seed=7, options=options))
    answer = json.loads(text)
    assert status == 200
    line = b"<x> 3 0.5 True tune.mid la"
    assert answer["html"] == render_media([Medium("text/plain", line)] * 2)
    assert answer["command"] == (
        "multigan sample '<i>run' -n 2 --seed 7 --word '<x>' --times 3 --warmth 0.5 --loud "
        "--given tune.mid"
    )
    moved = json.loads(ask(port, "/samples", request_body(fraction=0.5))[2])
    assert moved["command"] == "" and "None 1 1.0 False" in moved["html"]


def test_the_command_names_the_recipe_file_that_the_run_cannot_be_loaded_without(every_option):
    handler = RequestHandler(every_option, "runs/mine", Path("my own.py"))
    expected = "multigan sample runs/mine -n 4 --seed 0 --trust-recipe 'my own.py'"
    assert handler.handle(request_body())["command"] == expected


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
def test_requests_of_other_origins_are_rejected(port, headers, path):
    given = {name: value.format(port=port) for name, value in headers.items()}
    status, _, text = ask(port, path, None if path == "/" else request_body(), **given)
    assert status == 403 and "error" in json.loads(text)


def test_the_page_itself_is_answered_under_both_names(port):
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        own = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
        assert ask(port, "/samples", request_body(), **own)[0] == 200


def test_content_types_of_cross_site_forms_are_rejected(port):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert ask(port, "/samples", request_body(), Content_Type=kind)[0] == 415
    assert ask(port, "/samples")[0] == 405


def test_larger_requests_are_rejected_with_or_without_a_declared_length(port, monkeypatch):
    monkeypatch.setattr(server, "MAX_REQUEST_BYTES", 1000)
    large = request_body(options={"word": "x" * 1000})
    assert ask(port, "/samples", large)[0] == 413
    body = json.dumps(large).encode()
    head = f"POST /samples HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode())
        line.sendall(body + b"\r\n0\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Expecting"),
        (b"[" * 100_000, ""),
        (b"3", "a request must be a JSON object"),
        (request_body(n=0), "samples must be an integer from 1 to 512; got 0"),
        (request_body(n=True), "samples must be an integer from 1 to 512; got True"),
        (request_body(seed=None), "; got None"),
        (request_body(fraction=2), "fraction must be a number from 0 to 1; got 2"),
        (request_body(positions=[0] * 9), "positions must be a list of at most 4 numbers"),
        (request_body(positions=["x"]), "a position must be a number from -1 to 1; got 'x'"),
        (request_body(options=[]), "options must be a JSON object"),
        (request_body(options={"generator": "x"}), "unknown option 'generator'"),
        (request_body(options={"absent": "x"}), "unknown option 'absent'"),
        (request_body(options={"times": "1.5"}), "times must be an integer; got '1.5'"),
        (request_body(options={"warmth": "nan"}), "warmth must be finite; got 'nan'"),
        (request_body(options={"warmth": "hot"}), "warmth must be a number; got 'hot'"),
        (request_body(options={"word": 3}), "word must be text; got 3"),
        (request_body(options={"loud": "yes"}), "loud must be true or false; got 'yes'"),
        (request_body(options={"given": "/etc/passwd"}), "given must be a file; got a str"),
        (request_body(options={"given": {"name": "x", "content": "§"}}), "given"),
    ],
)
def test_an_invalid_request_is_answered_in_one_line(port, body, message):
    status, _, text = ask(port, "/samples", body)
    error = json.loads(text)["error"]
    assert status == 400 and message in error and "\n" not in error


@pytest.mark.parametrize(
    "name", ["../../up.mid", "/etc/passwd", "..", "", "a\x00b\n.mid", "x" * 999]
)
def test_an_uploaded_file_is_in_a_folder_of_its_own_under_any_name(every_option, name):
    answer = RequestHandler(every_option, "run").handle(
        request_body(options={"given": file_of(b"la", name)})
    )
    given = shlex.split(answer["command"])[-1]
    assert f"{given} la" in answer["html"] and Path(given).name == given and given.strip(".")


def test_an_error_names_the_file_without_the_temporary_folder(every_option):
    options = {"word": "no", "given": file_of(b"la")}
    with pytest.raises(ValueError, match=r"\Agiven/tune.mid: no\Z"):
        RequestHandler(every_option, "run").handle(request_body(options=options))


def test_the_form_has_a_control_for_each_option_by_its_type(every_option):
    page = form(every_option)
    assert [option.name for option in requestable_options(every_option)][-1] == "voice"
    for control in (
        '<input name="option-word" type="text">',
        '<input name="option-times" type="number" step="1">',
        '<input name="option-warmth" type="number" step="any">',
        '<input name="option-loud" type="checkbox">',
        '<input name="option-given" type="file">',
        '<input name="option-voice" list="option-voice-choices" type="text">',
        '<option value="high"></option>',
        "the text &lt;b&gt;",
        'name="position-3"',
    ):
        assert control in page
    assert "absent" not in page


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_has_a_form_with_its_options(name):
    sampler = sampler_of(name)
    page = form(sampler)
    assert all(f'name="option-{option.name}"' in page for option in requestable_options(sampler))
    assert ("position-0" in page) == isinstance(sampler.generator, SupportsInterpolation)
    answer = RequestHandler(sampler, name).handle(request_body(n=2))
    assert answer["html"].startswith('<ol class="media') and "no view" not in answer["html"]
    assert answer["command"] == f"multigan sample {name} -n 2 --seed 0"


def test_a_taken_port_is_an_error(port, every_option):
    with pytest.raises(ValueError, match=rf"port {port} must be free .*choose another --port"):
        server.serve(every_option, "run", port)
    with pytest.raises(ValueError, match="port 99999 must be free"):
        server.serve(every_option, "run", 99999)


def test_a_missing_server_package_is_an_error_with_the_install_command(every_option, monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs starlette and uvicorn: pip install 'multigan\[st"):
        server.serve(every_option, "run", 0)


def test_the_command_prints_its_address_and_stops_at_ctrl_c(points_run):
    words = [sys.executable, "-m", "multigan", "studio", str(points_run), "--port", "0"]
    started = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with started as process:
        try:
            line = process.stdout.readline()
            address = line.split(": ")[1].split(" ")[0]
            assert address.startswith("http://127.0.0.1:") and "Ctrl-C stops it" in line
            request = urllib.request.Request(
                f"{address}samples",
                json.dumps(request_body()).encode(),
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
