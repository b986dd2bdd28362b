"""Push and load through a local server that speaks the Hub's endpoints; no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from multigan.cli import app
from multigan.export.export import push
from multigan.storage.checkpoint_integrity import GENERATOR_EMA_FILE, resolve_weights_file
from multigan.storage.hub import HubModel, check_name, parse_address
from tests.export.hub_server import TOKEN, serve_hub
from tests.forked import forked

pytest.importorskip("huggingface_hub")
NAME = "someone/points-gan"


@pytest.fixture
def hub():
    with serve_hub() as server:
        yield server


def multigan(hub, home, *arguments, token=TOKEN):
    """Run a command against the local server; its variables are read when the library loads."""
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home / "cache"), "HF_TOKEN": token}
    environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return forked("multigan", *arguments, NO_PROXY="127.0.0.1", **environment)


def test_what_is_pushed_is_loaded_with_equal_bytes_and_samples(hub, points_run, tmp_path):
    pushed = multigan(hub, tmp_path, "push", points_run, NAME, "--license", "mit")
    assert pushed.returncode == 0, pushed.stderr
    assert f"multigan sample hf://{NAME}" in pushed.stdout
    files = hub.repositories[NAME]
    assert files[GENERATOR_EMA_FILE] == resolve_weights_file(points_run).read_bytes()
    card = files["README.md"].decode()
    assert f"load('hf://{NAME}')" in card and 'license: "mit"' in card

    sample = ["-n", "5", "--out"]
    sampled = multigan(hub, tmp_path, "sample", f"hf://{NAME}", *sample, tmp_path / "hub")
    assert sampled.returncode == 0, sampled.stderr
    assert app.main(["sample", str(points_run), *sample, str(tmp_path / "run")]) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "hub").iterdir()}
    assert written
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert any(GENERATOR_EMA_FILE in request for request in hub.requests)
    assert not any(".pt" in request for request in hub.requests if request.startswith("GET"))


@pytest.mark.parametrize(
    ("arguments", "token"),
    [(("sample", "hf://someone/absent"), TOKEN), (("push", "image", "someone/absent"), "hf_other")],
)
def test_an_absent_repository_and_a_refused_token_are_errors_of_one_line(
    hub, tmp_path, arguments, token
):
    result = multigan(hub, tmp_path, *arguments, token=token)
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert len(errors) == 1 and "hf://someone/absent: " in errors[0]
    assert "Traceback" not in result.stderr and not hub.repositories


def test_an_address_and_a_push_need_user_and_name():
    for call in (lambda: resolve_weights_file(Path("hf://a")), lambda: push("image", "a")):
        with pytest.raises(ValueError, match="must be named user/name"):
            call()


def test_addresses_differ_from_paths():
    assert parse_address("hf://user/name") == HubModel("user/name")
    assert parse_address("hf:/user/name@v1") == HubModel("user/name", "v1")
    for path in ("runs/image-0001", "image", "hf", "./hf/user/name"):
        assert parse_address(path) is None


@pytest.mark.parametrize("name", ["name", "a/b/c", "a/../b", "../x/y", "a b/c", "", "a/", "/b"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="must be named user/name"):
        check_name(name)
