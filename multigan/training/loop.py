"""The training loop: runs a trainer, logs, evaluates and saves checkpoints."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from multigan.core.media import read_media
from multigan.core.protocols import SAMPLING_BATCH_SIZE, Dataset, EvaluationSkipped, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.core.serialization import to_config
from multigan.engine.monitoring import TrainingMonitor, first_not_finite
from multigan.engine.neighbors import neighbor_metrics, random_items
from multigan.engine.optimization import ROLLBACK, NonFiniteError, Step
from multigan.engine.trainer import AdversarialTrainer
from multigan.runs.checkpoint import load_checkpoint, prune, save_checkpoint, save_generator
from multigan.runs.directory import REAL_PREVIEW, RunDirectory, next_command, read_jsonl
from multigan.runs.train_options import StageOptions, TrainOptions
from multigan.storage.checkpoint_integrity import LIKELIHOOD_CHECKPOINT
from multigan.storage.files import cache_dir
from multigan.training.callbacks import (
    Callback,
    Callbacks,
    JsonLinesLog,
    Training,
    TrainingFailed,
)
from multigan.training.loggers import make_loggers
from multigan.training.metric_logging import USUAL, MetricAverager, progress_display
from multigan.training.run import Run


class Interrupted(Exception):
    """Training was stopped by the signal `number`, after a checkpoint."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_status = 128 + number


class SignalHandler:
    """Context manager that records the first SIGINT, SIGTERM or SIGHUP in `number`.

    A second signal has its usual effect. Outside the main thread no handler is installed. A SIGHUP
    that is ignored stays so: the run was started by nohup to outlive its terminal.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> SignalHandler:
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            handled = [s for s in self.SIGNALS if s != signal.SIGHUP or not ignored]
            self._previous = {s: signal.signal(s, self._record) for s in handled}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _record(self, number: int, _: FrameType | None) -> None:
        self.number = number
        self.__exit__()


FINISHED = "finished"
MAX_ROLLBACKS = 3  # in one run
ROLLBACK_LR_FACTOR = 0.5  # of the learning rates, after each rollback


class Loop:
    """Train a recipe and write all files of its run directory.

    Of several processes, rank 0 writes, samples and evaluates while the others wait. Decisions
    depend on shared values only: all processes log, roll back and stop at the same steps.
    """

    def __init__(
        self,
        trainer: AdversarialTrainer,
        run: RunDirectory,
        stages: StageOptions,
        show: int = USUAL,
        cache: str | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.trainer, self.directory, self.stages = trainer, run, stages
        self.processes = trainer.processes
        loggers = make_loggers(self.flags.log) if self.processes.is_rank_zero else []
        own = [progress_display(show), JsonLinesLog(run)]
        given = [callbacks] if isinstance(callbacks, Callback) else callbacks
        self.callbacks = Callbacks(own, [*loggers, *given])
        self.data = trainer.recipe.data
        self.meter, self.monitor = (
            MetricAverager(),
            TrainingMonitor(trainer.recipe, trainer.schedule_steps),
        )
        self.rollbacks = 0
        self.best = float("inf")  # the selection metric on the validation split
        self.stale = 0  # evaluations since it improved
        self.seconds = 0.0  # of training, over all resumptions
        self._cache = cache_dir(cache)
        self._warned_no_metrics = False
        domain, generator, discriminator = (
            to_config(item, of_caller=True)
            for item in (self.data.domain, trainer.generator, trainer.discriminator)
        )
        self.descriptions = {
            "generator": {"domain": domain, "generator": generator},
            "generator_ema": {"domain": domain, "generator": generator},
            "discriminator": {"domain": domain, "discriminator": discriminator},
        }

    @property
    def flags(self) -> TrainOptions:
        """Flags of the current stage."""
        return self.stages.adversarial if self.trainer.number else self.stages.likelihood

    def initialize(self) -> None:
        """Empty the logs and save the initial weights as the checkpoint of step 0."""
        self.trainer.sync_replicas()
        self._first(self.directory.truncate_after, -1)
        self._first(self._preview_real)
        self._save(0)

    def _first(self, write: Callable[..., Any], *arguments: Any) -> Any:
        """Call `write` in rank 0 and return its result in all processes."""
        return self.processes.on_rank_zero(lambda: write(*arguments))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.trainer.restore(state["trainer"])
        self.meter.restore(state["meter"], self.trainer.device)
        self.monitor.restore(state["monitor"])
        self.rollbacks = state["rollbacks"]
        self.best, self.stale = state["best"], state["stale"]
        self.seconds = state["seconds"]
        self._first(self._truncate_logs)

    def _truncate_logs(self) -> None:
        """Delete later log lines; warn about missing lines of steps before the checkpoint."""
        self.directory.truncate_after(self.trainer.steps_done)
        found = {line["step"] for line in read_jsonl(self.directory.log)}
        expected = self.stages.expected_log_steps(
            self.trainer.pretraining_steps, self.trainer.steps_done
        )
        if lost := [step for step in expected if step not in found]:
            warnings.warn(
                f"{self.directory.log} is damaged: {len(lost)} lines are missing, the first at "
                f"step {lost[0]}; training continues without them",
                stacklevel=2,
            )

    def run(self) -> Run:
        """Train until the end. Raises Interrupted after saving, or TrainingFailed."""
        trainer, config = self.trainer, self._first(self.directory.read_config)
        training = Training(trainer, self.directory, config)
        since = time.monotonic() - self.seconds
        ended = None
        try:
            self._call("on_start", training)
            with SignalHandler() as interrupt:
                while ended is None:
                    try:
                        ended = self._train(interrupt, since)
                    except NonFiniteError as error:
                        self._rollback(str(error))
        except BaseException as error:
            if self.processes.is_rank_zero:
                reason = str(error) or type(error).__name__
                self.callbacks.end(trainer.steps_done, reason, error)
            raise
        self._first(
            lambda: self.directory.write_config(self.directory.read_config() | {"ended": ended})
        )
        self._first(lambda: self.callbacks.end(trainer.steps_done, str(ended)))
        recipe = trainer.given_recipe  # as the caller passed it, so that it can be trained again
        done, first = trainer.steps_done, self.processes.is_rank_zero
        return Run(self.directory.path, done, ended, first, recipe)

    def _call(self, event: str, *values: Any) -> None:
        """Call the callbacks in rank 0; where one fails, all processes end."""
        self._first(lambda: self.callbacks.call(event, *values))

    def _call_step(self, step: Step) -> None:
        if self.callbacks.overrides("on_step"):
            self._call("on_step", step.number, step.values)
        elif self.processes.is_rank_zero:  # the display alone: the processes need not wait for it
            self.callbacks.call("on_step", step.number, step.values)

    def _train(self, interrupt: SignalHandler, since: float) -> str:
        """Train until the end; return its reason. Raises Interrupted or NonFiniteError."""
        trainer = self.trainer
        for step in trainer.steps():
            flags = self.flags
            self.seconds = time.monotonic() - since
            self.meter.add(step.values)
            self._call_step(step)
            learnt, last = trainer.pretraining_done, step.number == trainer.total_steps
            if _due(step, flags.log_every) or learnt or last:
                self._log(step)
            sampled = _due(step, flags.sample_every) or last
            saved = _due(step, flags.save_every) or learnt or last
            stopped_by = self.processes.all_reduce_max(interrupt.number or 0)
            if sampled or saved or stopped_by:
                trainer.update_ema_statistics()
            if learnt:
                self._first(self._keep_generator, LIKELIHOOD_CHECKPOINT)
            if sampled:
                self._first(self._preview, step)
            if saved:
                self._select_best(step)
                self._checkpoint(step.number)
            if stopped_by and not saved:
                self._checkpoint(step.number)
            if stopped_by and not last:
                message = (
                    f"stopped at step {step.number} of {trainer.total_steps}; go on with: "
                    f"{next_command(self.directory, self.directory.read_config())}"
                )
                raise Interrupted(stopped_by, message if self.processes.is_rank_zero else "")
            if saved and flags.patience is not None and self.stale >= flags.patience:
                return f"no better {self.data.domain.selection_metric} in {self.stale} evaluations"
        return FINISHED

    def _rollback(self, culprit: str) -> None:
        """Continue from the last checkpoint, with learning rates times ROLLBACK_LR_FACTOR.

        Raises TrainingFailed for another policy, and after MAX_ROLLBACKS rollbacks.
        """
        failed_at = self.trainer.steps_done + 1
        done = self.rollbacks
        state = None
        if self.flags.on_nonfinite == ROLLBACK and done < MAX_ROLLBACKS:
            state = self._first(load_checkpoint, self.directory.path, self.trainer.networks())
        if state is None:
            tried = f" after {done} rollbacks" if done else ""
            self._fail(
                f"step {failed_at}: {culprit} is not finite, so training stopped{tried}; the last "
                f"finite checkpoint is in {self.directory.checkpoints}; try a smaller learning "
                "rate, a larger gamma, or --on-nonfinite rollback"
            )
        self.restore(state)
        self.rollbacks = done + 1
        self.trainer.lr_scale *= ROLLBACK_LR_FACTOR
        step, share = self.trainer.steps_done, self.trainer.lr_scale
        message = (
            f"{culprit} was not finite at step {failed_at}: back to step {step}, at {share:g} of "
            f"the learning rates ({self.rollbacks} of at most {MAX_ROLLBACKS} times)"
        )
        self._call("on_rollback", step, message)
        self._checkpoint(step)

    def _fail(self, text: str) -> NoReturn:
        raise TrainingFailed(text if self.processes.is_rank_zero else "")

    def _log(self, step: Step) -> None:
        values = self.meter.read()
        values |= {name: value.item() for name, value in self.trainer.diversity_metrics().items()}
        self._check_finite(first_not_finite(values))
        diagnostics = self.monitor.read(self.trainer.number, values)
        counts = {
            "samples_seen": step.samples_seen,
            "epoch": round(self.trainer.epochs, 4),
            "seconds": round(self.seconds, 2),
        }
        self._call("on_log", step.number, counts | values, diagnostics)

    def _check_finite(self, culprit: str | None) -> None:
        if culprit is not None:
            raise NonFiniteError(culprit)

    def _preview(self, step: Step) -> None:
        domain = self.data.domain
        samples = self._sampler().sample(SAMPLING_BATCH_SIZE, self.trainer.seed)
        files = domain.preview(samples, self.directory.samples / f"step-{step.number:09d}")
        if self.callbacks.overrides("on_samples"):
            self.callbacks.call("on_samples", step.number, samples, read_media(files))

    def _preview_real(self) -> None:
        """Write a preview of held-out samples, to be shown next to generated ones."""
        rng = keyed_rng(self.trainer.seed, "real preview")
        real = random_items(self.data.split("valid"), SAMPLING_BATCH_SIZE, rng)
        domain = self.data.domain
        domain.preview(domain.decode(real.x), self.directory.samples / REAL_PREVIEW)

    def _sampler(self) -> Sampler:
        return Sampler(self.data.domain, self.trainer.ema.module)  # type: ignore[arg-type]

    def _checkpoint(self, number: int) -> None:
        self._call("on_checkpoint", number, self._save(number))

    def _save(self, number: int) -> Path:
        """Write a checkpoint and return its folder."""
        networks = self.trainer.networks()
        self._check_finite(first_not_finite({}, networks))
        self.processes.check_replicas_equal(networks)
        state = {
            "trainer": self.trainer.state(),
            "meter": self.meter.state(),
            "monitor": self.monitor.state(),
            "rollbacks": self.rollbacks,
            "best": self.best,
            "stale": self.stale,
            "seconds": self.seconds,
        }
        folder = self.directory.checkpoints / f"step-{number:09d}"
        self._first(self._write, folder, state)
        return folder

    def _write(self, folder: Path, state: Mapping[str, Any]) -> None:
        self.directory.flush()
        save_checkpoint(folder, self.trainer.networks(), self.descriptions, state)
        prune(self.directory.path)

    def _keep_generator(self, name: str) -> None:
        """Save the current EMA generator as the checkpoint `name`."""
        description = self.descriptions["generator_ema"]
        save_generator(self.directory.path, name, self.trainer.ema.module, description)

    def _select_best(self, step: Step) -> None:
        """Evaluate on the validation split, and save the generator if it is the best so far.

        The likelihood stage is evaluated at its end, or throughout if the recipe says so; its
        checkpoints are never selected.
        """
        adversarial = self.trainer.number > 0
        if not (
            adversarial
            or self.trainer.pretraining_done
            or self.trainer.recipe.evaluate_during_likelihood
        ):
            return
        self._check_finite(first_not_finite({}, self.trainer.networks()))
        metrics = self._first(self._evaluate, step)
        if metrics is None or not adversarial:
            return
        selection = metrics.get(self.data.domain.selection_metric, float("nan"))
        if selection < self.best:
            self.best, self.stale = selection, 0
            self._first(self._keep_generator, "best")
        else:
            self.stale += 1

    def _evaluate(self, step: Step) -> dict[str, float] | None:
        """Log and return the metrics of the domain; None, with one warning, if it has none."""
        valid = self.data.split("valid")
        table = self._measure(valid, step.number)
        values = None if table is None else {k: float(v) for k, v in table.model.items()}
        details: dict[str, Any] = {} if table is None else {"references": table.references}
        if self.trainer.number > 0:
            trainer, quality = self.trainer, None if table is None else table.quality
            networks = (trainer.ema.module, trainer.discriminator)
            neighbors = neighbor_metrics(*networks, self.data, valid, trainer.seed, step.number)  # type: ignore[arg-type]
            diagnostics = self.monitor.read_checkpoint(trainer.number, neighbors, quality)
            details |= {"neighbors": neighbors} if neighbors else {}
            if self.monitor.judges_checkpoint(trainer.number):
                details["diagnostics"] = diagnostics
        if values is not None:
            self.callbacks.call("on_evaluate", step.number, values)
        self.callbacks.call("on_diagnose", step.number, details)
        return values

    def _measure(self, valid: Dataset, step: int) -> ResultsTable | None:
        """Evaluate the domain's metrics on a split; None, with one warning, if it has none."""
        domain, rng = self.data.domain, keyed_rng(self.trainer.seed, "evaluate", step)
        try:
            table = domain.evaluate(self._sampler(), valid, rng, self._cache)
        except EvaluationSkipped as error:
            if not self._warned_no_metrics:
                warnings.warn(f"not measured, so no best checkpoint: {error}", stacklevel=2)
            self._warned_no_metrics = True
            return None
        return replace(table, headline=table.headline or domain.selection_metric)


def _due(step: Step, every: int | None) -> bool:
    return every is not None and step.number % every == 0
