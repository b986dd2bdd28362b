"""The studio over HTTP: origins, responses, rejected requests, and shutdown."""

import base64
import io
import json
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from multigan.core.option_controls import Range, Several
from multigan.core.protocols import Medium, Sampler, SupportsInterpolation
from multigan.report.html_elements import render_media
from multigan.storage.loading import load
from multigan.studio import server
from multigan.studio.access import LOCAL, access_for
from multigan.studio.form import (
    form,
    option_controls,
    requestable_options,
    sampling_tasks,
)
from multigan.studio.handlers import RequestHandler
from tests.run_helpers import DOMAINS, tiny_recipe
from tests.studio.server_process import ask, request_body, running, serving

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
    status, _, text = ask(port, "/samples/0", request_body(n=2, seed=7, options=options))
    answer = json.loads(text)
    assert status == 200
    line = b"<x> 3 0.5 True tune.mid la"
    assert answer["html"] == render_media([Medium("text/plain", line)] * 2)
    assert answer["command"] == (
        "multigan sample '<i>run' -n 2 --seed 7 --word '<x>' --times 3 --warmth 0.5 --loud "
        "--given tune.mid"
    )
    moved = json.loads(ask(port, "/samples/0", request_body(fraction=0.5))[2])
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
@pytest.mark.parametrize("path", ["/", "/samples/0"])
def test_requests_of_other_origins_are_rejected(port, headers, path):
    given = {name: value.format(port=port) for name, value in headers.items()}
    status, _, text = ask(port, path, None if path == "/" else request_body(), **given)
    assert status == 403 and "error" in json.loads(text)


def test_the_page_itself_is_answered_under_both_names(port):
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        own = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
        assert ask(port, "/samples/0", request_body(), **own)[0] == 200


def test_content_types_of_cross_site_forms_are_rejected(port):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert ask(port, "/samples/0", request_body(), Content_Type=kind)[0] == 415
    assert ask(port, "/samples/0")[0] == 405


def test_larger_requests_are_rejected_with_or_without_a_declared_length(port, monkeypatch):
    monkeypatch.setattr(server, "MAX_REQUEST_BYTES", 1000)
    large = request_body(options={"word": "x" * 1000})
    assert ask(port, "/samples/0", large)[0] == 413
    body = json.dumps(large).encode()
    head = (
        f"POST /samples/0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    )
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
        (request_body(positions=["x"]), "each of positions must be a number from -1 to 1; got 'x'"),
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
    status, _, text = ask(port, "/samples/0", body)
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
    named = {name for options in sampling_tasks(sampler).values() for name in options}
    controls = option_controls(sampler).values()
    replaced = {control.replaced for control in controls if isinstance(control, Several)}
    for option in requestable_options(sampler):
        is_offered = f'name="option-{option.name}"' in page  # also of a group of check boxes
        assert is_offered == (option.name not in replaced) or (named and option.name not in named)
    assert ("position-0" in page) == isinstance(sampler.generator, SupportsInterpolation)
    answer = RequestHandler(sampler, name).handle(request_body(n=2))
    assert answer["html"].startswith('<ol class="media') and "no view" not in answer["html"]
    assert answer["command"] == f"multigan sample {name} -n 2 --seed 0"


def test_a_taken_port_is_an_error(port, every_option):
    with pytest.raises(ValueError, match=rf"port {port} must be free .*choose another --port"):
        server.serve([RequestHandler(every_option, "run")], port)
    with pytest.raises(ValueError, match="port 99999 must be free"):
        server.serve([RequestHandler(every_option, "run")], 99999)


def test_a_missing_server_package_is_an_error_with_the_install_command(every_option, monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs starlette and uvicorn: pip install 'multigan\[st"):
        server.serve([RequestHandler(every_option, "run")], 0)


def test_the_command_prints_its_address_and_stops_at_ctrl_c(points_run):
    words = [sys.executable, "-m", "multigan", "studio", str(points_run), "--port", "0"]
    started = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with started as process:
        try:
            line = process.stdout.readline()
            address = line.split(": ")[1].split(" ")[0]
            assert address.startswith("http://127.0.0.1:") and "Ctrl-C stops it" in line
            request = urllib.request.Request(
                f"{address}samples/0",
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


def test_songs_are_sampled_by_task_with_sliders_and_a_check_box_for_each_voice():
    sampler = sampler_of("music")
    tasks = sampling_tasks(sampler)
    assert list(tasks) == ["compose", "accompany", "continue"] and "given" in tasks["accompany"]
    assert "key" not in tasks["compose"]  # this generator plans no chords
    page = form(sampler)
    voices = [voice.name for voice in sampler.domain.voices]
    assert all(page.count(f'type="checkbox" value="{name}"') == 2 for name in voices)
    assert 'data-name="option-keep"' in page and 'data-tasks="compose|continue"' in page
    assert 'type="range" name="option-bars" min="0" max="64"' in page and "as trained" in page


def test_a_slider_begins_at_the_default_of_the_pretrained_generator():
    assert option_controls(load("text"))["temperature"].default == 0.9


@pytest.mark.parametrize("name", DOMAINS)
def test_the_default_of_a_slider_lies_within_its_ends(name):
    for control in option_controls(sampler_of(name)).values():
        if isinstance(control, Range):
            assert control.low <= control.default <= control.high and control.step > 0


def test_a_download_holds_the_chosen_samples_as_the_domain_writes_them(tmp_path):
    handler = RequestHandler(sampler_of("image"), "run")
    body = {"parts": [{"request": request_body(n=3), "indices": [2, 0]}]}
    name, content = handler.download(body)
    assert name == "samples.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    handler.sampler.domain.write([handler.sampler.sample(3)[k] for k in (2, 0)], tmp_path / "own")
    for image in (f"{k:06d}.png" for k in range(2)):
        assert (tmp_path / "000" / image).read_bytes() == (tmp_path / "own" / image).read_bytes()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "parts must be a list of 1 to 512 requests"),
        ({"parts": [3]}, "a part must hold a request and the indices"),
        (
            {"parts": [{"request": request_body(n=2), "indices": [2]}]},
            "an index must be an integer",
        ),
        ({"parts": [{"request": 3, "indices": [0]}]}, "a request must be a JSON object"),
    ],
)
def test_an_invalid_download_is_answered_in_one_line(port, body, message):
    status, _, text = ask(port, "/download/0", body)
    assert status == 400 and message in json.loads(text)["error"]


def test_several_runs_have_a_page_each_in_one_server(every_option):
    handlers = [RequestHandler(every_option, "first"), RequestHandler(sampler_of("text"), "second")]
    with serving(lambda port: server.application(handlers, port)) as port:
        first, second = (ask(port, f"/run/{k}")[2] for k in (0, 1))
        assert ask(port, "/")[2] == first and 'href="/run/1">second</a>' in first
        assert "option-word" in first and "option-temperature" in second
        assert ask(port, "/samples/1", request_body(n=1))[0] == 200
        status, _, text = ask(port, "/samples/2", request_body(n=1))
        assert status == 404 and json.loads(text)["error"] == "run must be below 2; got 2"


def test_another_host_needs_the_token_of_the_printed_address(every_option):
    access = access_for("0.0.0.0")
    assert access_for("localhost") == access_for("127.0.0.1") == LOCAL and len(access.token) > 20
    handlers = [RequestHandler(every_option, "run")]
    with serving(lambda port: server.application(handlers, port, access)) as port:
        assert access.address(port) == f"http://0.0.0.0:{port}/?token={access.token}"
        for path in ("/", "/?token=no", "/studio.js", f"/run/0?token={access.token[:-1]}"):
            assert ask(port, path)[0] == 401
        assert ask(port, "/samples/0", request_body())[0] == 401
        status, headers, _ = ask(port, f"/?token={access.token}", Host="other.example")
        cookie = headers["Set-Cookie"]
        assert status == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        own = {"Host": "other.example", "Cookie": cookie.partition(";")[0]}
        assert ask(port, "/samples/0", request_body(), **own)[0] == 200
        evil = own | {"Origin": "http://evil.example"}
        assert ask(port, "/samples/0", request_body(), **evil)[0] == 403
