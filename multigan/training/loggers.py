"""Callbacks that write a training to TensorBoard, Weights & Biases, MLflow or trackio.

Each shows scalars under the names of the log, validation metrics under `valid/`, and the samples
as images, audio and text. A resumed run continues the same record.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from multigan.core.media import suffix_of
from multigan.core.protocols import Medium, Sample
from multigan.runs.train_options import logger_names
from multigan.storage.files import write_atomically
from multigan.training.callbacks import Callback, Training

PROJECT = "multigan"  # the name of the project or experiment in each tracker
RECORDS = "trackers.json"  # in a run: the id of its record in each tracker


class Logger(Callback):
    """Base of the loggers: a subclass writes scalars and media."""

    def on_log(
        self, step: int, values: Mapping[str, float], diagnostics: Mapping[str, str]
    ) -> None:
        """Write the values of a log line."""
        self.write_scalars(step, values)

    def on_evaluate(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics on the validation split."""
        self.write_scalars(step, {f"valid/{name}": value for name, value in metrics.items()})

    def on_samples(self, step: int, samples: Sequence[Sample], media: Sequence[Medium]) -> None:
        """Write the images, audio and text of samples; other media are left out."""
        writers = {
            "image/png": self.write_image,
            "audio/wav": self.write_audio,
            "text/plain": self.write_text,
        }
        for medium in media:
            if medium.type in writers:
                writers[medium.type](step, medium)

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar per value."""
        raise NotImplementedError

    def write_image(self, step: int, medium: Medium) -> None:
        """Write an image of samples."""
        raise NotImplementedError

    def write_audio(self, step: int, medium: Medium) -> None:
        """Write the audio of samples."""
        raise NotImplementedError

    def write_text(self, step: int, medium: Medium) -> None:
        """Write samples of text."""
        raise NotImplementedError


class TensorBoard(Logger):
    """Writes event files into the run."""

    def on_start(self, training: Training) -> None:
        """Open an event file; events after the first step are those of an abandoned attempt."""
        self._folder = training.path
        self._open(training.first_step + 1)

    def _open(self, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=first_step)

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar per value."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def write_image(self, step: int, medium: Medium) -> None:
        """Write an image."""
        self._writer.add_image("samples", _pixels(medium), step, dataformats="HWC")

    def write_audio(self, step: int, medium: Medium) -> None:
        """Write the mean of both channels."""
        sound, rate = _mono(medium)
        self._writer.add_audio("samples", sound, step, rate)

    def write_text(self, step: int, medium: Medium) -> None:
        """Write text so that Markdown shows it unchanged."""
        lines = medium.content.decode(errors="replace").splitlines()
        self._writer.add_text("samples", "\n".join(f"    {line}" for line in lines), step)

    def on_rollback(self, step: int, message: str) -> None:
        """Begin an event file that replaces the events after `step`."""
        self._writer.close()
        self._open(step + 1)

    def on_end(self, step: int, reason: str, error: BaseException | None) -> None:
        """Close the event file."""
        self._writer.close()


class WandB(Logger):
    """Logs to Weights & Biases; `WANDB_MODE=offline` needs no account and writes into the run."""

    def on_start(self, training: Training) -> None:
        """Begin a record, or continue that of the run."""
        import wandb

        self._wandb, record = wandb, read_record(training.path, "wandb")
        self._run = wandb.init(
            project=PROJECT,
            name=training.path.name,
            dir=str(training.path),
            id=record,
            resume="allow" if record else None,
            config=dict(training.config),
            settings=wandb.Settings(console="off"),
        )
        write_record(training.path, "wandb", self._run.id)
        self._run.define_metric("*", step_metric="step")  # a step may come again after a rollback

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar per value."""
        self._run.log({"step": step, **values})

    def write_image(self, step: int, medium: Medium) -> None:
        """Write an image."""
        with _file_of(medium) as file:
            self._run.log({"step": step, "samples/image": self._wandb.Image(str(file))})

    def write_audio(self, step: int, medium: Medium) -> None:
        """Write audio."""
        with _file_of(medium) as file:
            self._run.log({"step": step, "samples/audio": self._wandb.Audio(str(file))})

    def write_text(self, step: int, medium: Medium) -> None:
        """Write a table with one line in a row."""
        lines = [[line] for line in medium.content.decode(errors="replace").splitlines()]
        table = self._wandb.Table(columns=["sample"], data=lines)
        self._run.log({"step": step, "samples/text": table})

    def on_end(self, step: int, reason: str, error: BaseException | None) -> None:
        """Finish the record."""
        self._run.finish(exit_code=0 if error is None else 1)


class MLflow(Logger):
    """Logs to MLflow: to `MLFLOW_TRACKING_URI`, by default to `mlflow.db` and `mlruns` in the run.

    The default is SQLite, because MLflow refuses its former store of plain files.
    """

    def on_start(self, training: Training) -> None:
        """Begin a record, or continue that of the run."""
        import mlflow

        uri, folder = os.environ.get("MLFLOW_TRACKING_URI"), training.path.resolve()
        self._client = mlflow.MlflowClient(uri or f"sqlite:///{folder / 'mlflow.db'}")
        artifacts = None if uri else (folder / "mlruns").as_uri()
        self._metric, record = mlflow.entities.Metric, read_record(training.path, "mlflow")
        if record is None:
            found = self._client.get_experiment_by_name(PROJECT)
            experiment = (
                found.experiment_id if found else self._client.create_experiment(PROJECT, artifacts)
            )
            created = self._client.create_run(experiment, run_name=training.path.name)
            record = created.info.run_id
            for name, value in hyperparameters(training.config).items():
                self._client.log_param(record, name, value)
            write_record(training.path, "mlflow", record)
        self._client.update_run(record, status="RUNNING")
        self._record = record

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar per value."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._record, metrics=metrics)

    def on_samples(self, step: int, samples: Sequence[Sample], media: Sequence[Medium]) -> None:
        """Write the files of the samples as artifacts."""
        for medium in media:
            with _file_of(medium, f"step-{step:09d}") as file:
                self._client.log_artifact(self._record, str(file), "samples")

    def on_end(self, step: int, reason: str, error: BaseException | None) -> None:
        """Finish the record."""
        self._client.set_terminated(self._record, "FINISHED" if error is None else "FAILED")


class Trackio(Logger):
    """Logs to trackio's local database, which `trackio show` opens."""

    def on_start(self, training: Training) -> None:
        """Begin a record, or continue that of the run."""
        import trackio

        self._trackio = trackio
        record = read_record(training.path, "trackio") or f"{training.path.name}-{time.time_ns():x}"
        write_record(training.path, "trackio", record)
        config = dict(training.config)
        with redirect_stdout(sys.stderr):  # where progress is shown
            trackio.init(project=PROJECT, name=record, config=config, resume="allow", embed=False)

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar per value."""
        self._trackio.log(dict(values), step=step)

    def write_image(self, step: int, medium: Medium) -> None:
        """Write an image."""
        with _file_of(medium) as file:
            self._trackio.log({"samples/image": self._trackio.Image(str(file))}, step=step)

    def write_audio(self, step: int, medium: Medium) -> None:
        """Write audio."""
        with _file_of(medium) as file:
            self._trackio.log({"samples/audio": self._trackio.Audio(str(file))}, step=step)

    def write_text(self, step: int, medium: Medium) -> None:
        """Write Markdown."""
        text = self._trackio.Markdown(medium.content.decode(errors="replace"))
        self._trackio.log({"samples/text": text}, step=step)

    def on_end(self, step: int, reason: str, error: BaseException | None) -> None:
        """Finish the record."""
        with redirect_stdout(sys.stderr):
            self._trackio.finish()


LOGGERS: dict[str, type[Logger]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
    "trackio": Trackio,
}


def make_loggers(names: str | None) -> list[Callback]:
    """Return the loggers of `--log`; `names` are separated by commas."""
    return [LOGGERS[name]() for name in logger_names(names)]


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters of a run; of a run of objects the numbers of its recipe.

    Those in a dictionary are named as `penalties.r1`.
    """
    return dict(config["hyperparameters"]) or _numbers(config["recipe"], "")


def _numbers(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and "component" not in value:
            found |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str):
            found[prefix + name] = value
    return found


def read_record(folder: Path, tracker: str) -> str | None:
    """Return the id of a run's record in a tracker, if it has one."""
    file = folder / RECORDS
    return json.loads(file.read_text()).get(tracker) if file.is_file() else None


def write_record(folder: Path, tracker: str, record: str) -> None:
    """Keep the id of a run's record in a tracker."""
    file = folder / RECORDS
    found = json.loads(file.read_text()) if file.is_file() else {}
    write_atomically(file, json.dumps(found | {tracker: record}, indent=1).encode())


def _pixels(medium: Medium) -> np.ndarray:
    """Return the pixels (H, W, 3) of an image."""
    with Image.open(io.BytesIO(medium.content)) as image:
        return np.asarray(image.convert("RGB"))


def _mono(medium: Medium) -> tuple[np.ndarray, int]:
    """Return the mean of the channels (1, samples) in [-1, 1] of 16-bit audio, and its rate."""
    with wave.open(io.BytesIO(medium.content)) as sound:
        frames = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        channels = frames.reshape(-1, sound.getnchannels())
        return channels.mean(1, dtype=np.float32)[None] / 32768, sound.getframerate()


@contextmanager
def _file_of(medium: Medium, stem: str = "samples") -> Iterator[Path]:
    """Write a medium into a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{stem}{suffix_of(medium.type)}"
        file.write_bytes(medium.content)
        yield file
