"""Each logger, with its real package, shows scalars and media, and a resumed run continues it.

`make test-loggers` installs the packages; those that are absent are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multigan.cli import app
from multigan.runs.directory import read_jsonl
from multigan.runs.train_options import LOGGERS, TrainOptions
from tests.run_helpers import resume_tiny, train_tiny

SCALARS = {"loss/generator", "loss/discriminator", "epoch"}
STEPS = [1, 2, 3, 4]
# The packages warn about themselves; multigan's own warnings are errors in the other tests.
pytestmark = pytest.mark.filterwarnings("ignore")


def train_and_resume(logger: str, recipe: str, out: Path, cache: Path) -> Path:
    """A run of two steps, resumed to four, that logs each step."""
    settings = {"log_every": 1, "save_every": 2, "sample_every": 2, "report": False}
    settings |= {"log": logger, "cache_dir": str(cache)}
    train_tiny(recipe, out, steps=2, **settings)
    resume_tiny(out, steps=4, cache_dir=str(cache))
    return out


def assert_equal_to_log(run: Path, values: dict[int, float], name: str = "loss/generator") -> None:
    """The values by step are those of log.jsonl, each once."""
    logged = {line["step"]: line[name] for line in read_jsonl(run / "log.jsonl")}
    assert values == pytest.approx(logged, rel=1e-6) and list(values) == STEPS


@pytest.mark.parametrize(("recipe", "kinds"), [
    ("points", {"images"}),
    pytest.param("image", {"images"}, marks=pytest.mark.slow),
    pytest.param("text", {"text"}, marks=pytest.mark.slow),
    pytest.param("music", {"images", "audio"}, marks=pytest.mark.slow),
])  # fmt: skip
def test_tensorboard_shows_scalars_images_audio_and_text(recipe, kinds, tmp_path, cache):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train_and_resume("tensorboard", recipe, tmp_path / "run", cache)
    events = EventAccumulator(str(run), {"images": 0, "audio": 0, "tensors": 0, "scalars": 0})
    tags = events.Reload().Tags()
    texts = [tag.removesuffix("/text_summary") for tag in tags["tensors"]]
    found = {"images": tags["images"], "audio": tags["audio"], "text": texts}
    assert {kind for kind, names in found.items() if names} == kinds
    assert all(names in ([], ["samples"]) for names in found.values())
    assert set(tags["scalars"]) > SCALARS
    print(f"tensorboard, {recipe}:", found, len(tags["scalars"]), "scalars")
    if recipe == "points":  # it has no likelihood stage, so steps are counted once
        scalars = events.Scalars("loss/generator")
        assert_equal_to_log(run, {event.step: event.value for event in scalars})
    if recipe == "music":
        sound = events.Audio("samples")[-1]
        assert sound.sample_rate == 44_100 and sound.length_frames > 44_100


def test_wandb_keeps_an_offline_record(tmp_path, cache, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    of_media = {"points": {"images"}, "image": {"images"}, "music": {"images", "audio"}}
    for recipe, kinds in of_media.items():
        run = train_and_resume("wandb", recipe, tmp_path / recipe, cache)
        folders = [path for path in (run / "wandb").glob("offline-run-*") if path.is_dir()]
        record = json.loads((run / "trackers.json").read_text())["wandb"]
        assert len(folders) == 2 and all(path.name.endswith(record) for path in folders)
        media = [path.parent.parent.name for path in (run / "wandb").rglob("media/*/*/*")]
        assert set(media) - {"table"} == kinds
        print(f"wandb, {recipe}:", sorted(p.relative_to(run).as_posix() for p in folders), media)


def test_mlflow_keeps_one_record_in_the_run(tmp_path, cache, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for recipe in ("points", "image", "music"):
        run = train_and_resume("mlflow", recipe, tmp_path / recipe, cache)
        client = mlflow.MlflowClient(f"sqlite:///{run / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("multigan").experiment_id
        (found,) = client.search_runs([experiment])
        assert found.info.status == "FINISHED" and found.data.params["steps"] == "2"
        artifacts = [file.path for file in client.list_artifacts(found.info.run_id, "samples")]
        assert "samples/step-000000002.png" in artifacts
        print(f"mlflow, {recipe}:", artifacts, len(found.data.metrics), "metrics")
        if recipe == "points":
            history = client.get_metric_history(found.info.run_id, "loss/generator")
            assert_equal_to_log(run, {metric.step: metric.value for metric in history})


def test_trackio_keeps_one_record(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    for recipe in ("points", "image", "music"):
        run = train_and_resume("trackio", recipe, tmp_path / recipe, cache)
        record = json.loads((run / "trackers.json").read_text())["trackio"]
        from trackio.sqlite_storage import SQLiteStorage

        logs = SQLiteStorage.get_logs("multigan", record)
        losses = {line["step"]: line["loss/generator"] for line in logs if "loss/generator" in line}
        assert {name for line in logs for name in line} > SCALARS | {"samples/image"}
        images = [file for line in logs if (file := line.get("samples/image"))]
        assert [image["_type"] for image in images] == ["trackio.image"] * 2
        print(f"trackio, {recipe}:", len(logs), "entries,", len(images), "images")
        if recipe == "points":
            assert_equal_to_log(run, losses)


def test_an_unknown_logger_is_refused_with_those_known():
    with pytest.raises(ValueError, match=r"got 'csv'; known: tensorboard, wandb, mlflow, trackio"):
        TrainOptions(log="tensorboard,csv").resolved(1)


@pytest.mark.parametrize("name", LOGGERS)
def test_a_logger_that_is_not_installed_names_its_extra(name, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert app.main(["train", "points", "--tiny", "--log", name, "--out", str(tmp_path / "r")]) == 2
    assert f"pip install 'multigan[{name}]'" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
