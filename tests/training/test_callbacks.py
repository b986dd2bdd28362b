"""Callbacks receive values and media in order; one that fails ends the training in one line."""

import os
import signal

import pytest
from torch import Tensor

import multigan
from multigan.core.media import read_media
from multigan.training.callbacks import EVENTS, Callback, TrainingFailed
from multigan.training.launch import resume, train
from multigan.training.loop import Interrupted
from tests.run_helpers import assert_equal_runs, lines_of

SETTINGS = {
    "tiny": True,
    "steps": 4,
    "log_every": 2,
    "save_every": 2,
    "sample_every": 4,
    "report": False,
    "show": False,
}
pytestmark = pytest.mark.filterwarnings("ignore:the learning rate has come to 0:UserWarning")


class Recorder(Callback):
    """Keeps the name and the values of every call."""

    def __init__(self):
        self.calls = []

    @property
    def order(self):
        return [(name, *values[:1]) for name, values in self.calls if name != "on_start"]

    def values(self, name):
        return [values for event, values in self.calls if event == name]


def record(name):
    return lambda self, *values: self.calls.append((name, values))


for event in EVENTS:
    setattr(Recorder, event, record(event))


def train_points(out, cache, *callbacks, recipe="points", **settings):
    return train(
        recipe, out=str(out), cache_dir=str(cache), callbacks=callbacks, **(SETTINGS | settings)
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, cache):
    folder, recorder = tmp_path_factory.mktemp("recorded"), Recorder()
    train_points(folder / "run", cache, recorder)
    return folder / "run", recorder


def test_the_calls_come_in_the_order_of_the_training(recorded):
    _, recorder = recorded
    assert recorder.calls[0][0] == "on_start"
    assert recorder.order == [
        ("on_step", 1),
        ("on_step", 2),
        ("on_log", 2),
        ("on_evaluate", 2),
        ("on_diagnose", 2),
        ("on_checkpoint", 2),
        ("on_step", 3),
        ("on_step", 4),
        ("on_log", 4),
        ("on_samples", 4),
        ("on_evaluate", 4),
        ("on_diagnose", 4),
        ("on_checkpoint", 4),
        ("on_end", 4),
    ]
    assert recorder.calls[-1][1] == (4, "finished", None)


def test_values_are_those_of_the_logs(recorded):
    run, recorder = recorded
    logged = [
        {"step": step, **{k: v for k, v in values.items() if k != "seconds"}}
        for step, values, diagnostics in recorder.values("on_log")
    ]
    found = [
        {k: v for k, v in line.items() if k != "diagnostics"}
        for line in lines_of(run / "log.jsonl")
    ]
    assert logged == found
    measured = zip(recorder.values("on_evaluate"), recorder.values("on_diagnose"), strict=True)
    lines = [{"step": step, **metrics, **details} for (step, metrics), (_, details) in measured]
    assert lines == lines_of(run / "metrics.jsonl")
    assert {"references", "neighbors"} <= lines[-1].keys()
    for _, values in recorder.values("on_step"):
        loss = values["loss/generator"]
        assert isinstance(loss, Tensor) and loss.shape == () and not loss.requires_grad


def test_media_are_the_files_of_the_samples(recorded):
    run, recorder = recorded
    ((step, samples, media),) = recorder.values("on_samples")
    assert len(samples) == 64 and [medium.type for medium in media] == ["image/png"]
    assert media[0].content == (run / f"samples/step-{step:09d}.png").read_bytes()
    folder = recorder.values("on_checkpoint")[-1][1]
    assert folder == run / "checkpoints/step-000000004" and folder.is_dir()


def test_the_training_that_starts_is_described(recorded):
    run, recorder = recorded
    training = recorder.calls[0][1][0]
    assert (training.path, training.first_step, training.total_steps) == (run, 0, 4)
    assert training.config["name"] == "points" and len(training.sampler.sample(3)) == 3


def test_callbacks_change_no_number(recorded, tmp_path, cache):
    run, _ = recorded
    train_points(tmp_path / "alone", cache)
    assert_equal_runs(tmp_path / "alone", run, 4)


def test_a_resumed_run_continues(recorded, cache, tmp_path):
    train_points(tmp_path / "run", cache, steps=2)
    again = Recorder()
    resume(tmp_path / "run", steps=4, cache_dir=str(cache), show=False, callbacks=[again])
    assert again.calls[0][1][0].first_step == 2
    assert again.order[0] == ("on_step", 3) and again.order[-1] == ("on_end", 4)
    ended = Recorder()
    resume(tmp_path / "run", cache_dir=str(cache), show=False, callbacks=[ended])
    assert ended.calls == []  # nothing is left to train


@pytest.mark.parametrize("event", [event for event in EVENTS if event != "on_rollback"])
def test_a_callback_that_fails_ends_the_training_in_one_line(event, tmp_path, cache):
    def fail(self, *values):
        raise OSError("no connection\nto the server")

    failing = type("Sender", (Callback,), {event: fail})()
    recorder = Recorder()
    with pytest.raises(TrainingFailed) as raised:
        train_points(tmp_path / "run", cache, failing, recorder)
    text = str(raised.value)
    assert f"the callback Sender failed in {event}" in text and "\n" not in text
    assert "OSError: no connection to the server" in text and "resume" in text
    ended = [values for name, values in recorder.calls if name == "on_end"]
    if event == "on_start":  # the later ones have not started
        assert not ended
    else:
        assert len(ended) == 1 and isinstance(ended[0][2], TrainingFailed) == (event != "on_end")
    assert resume(tmp_path / "run", cache_dir=str(cache), show=False).step == 4


def test_the_other_error_is_reported_if_the_end_fails_too(tmp_path, cache):
    class Broken(Callback):
        def on_log(self, step, values, diagnostics):
            raise KeyError("first")

        def on_end(self, step, reason, error):
            raise KeyError("second")

    with (
        pytest.warns(UserWarning, match=r"Broken failed in on_end at step 2: KeyError: 'second'"),
        pytest.raises(TrainingFailed, match=r"failed in on_log at step 2: KeyError: 'first'"),
    ):
        train_points(tmp_path / "run", cache, Broken())


def test_an_interruption_ends_the_callbacks(tmp_path, cache):
    class Stopper(Recorder):
        def on_step(self, step, values):
            os.kill(os.getpid(), signal.SIGTERM)

    stopper = Stopper()
    with pytest.raises(Interrupted):
        train_points(tmp_path / "run", cache, stopper)
    assert [name for name, _ in stopper.calls] == ["on_start", "on_checkpoint", "on_end"]
    step, reason, error = stopper.calls[-1][1]
    assert step == 1 and reason.startswith("stopped at step 1") and isinstance(error, Interrupted)


def test_media_have_the_same_types_on_every_machine(tmp_path):
    suffixes = {
        ".png": "image/png",
        ".wav": "audio/wav",
        ".mid": "audio/midi",
        ".txt": "text/plain",
    }
    files = [tmp_path / f"step{suffix}" for suffix in suffixes]
    for file in files:
        file.write_bytes(file.suffix.encode())
    media = read_media(files)
    assert [medium.type for medium in media] == list(suffixes.values())
    assert [medium.content.decode() for medium in media] == list(suffixes)


def test_what_is_no_callback_is_refused_before_anything_is_written(tmp_path, cache):
    with pytest.raises(ValueError, match=r"subclasses of multigan.Callback; got 'progress'"):
        train_points(tmp_path / "run", cache, "progress")

    class Misspelled(multigan.Callback):
        def on_sample(self, step, samples, media): ...

    with pytest.raises(ValueError, match=r"on_sample is never called; did you mean on_samples\?"):
        train_points(tmp_path / "run", cache, Misspelled())
    assert not (tmp_path / "run").exists()
