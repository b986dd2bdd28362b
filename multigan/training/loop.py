"""A run from its recipe to its last checkpoint: log, show, measure and save once in a while."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from multigan.core.protocols import SAMPLING_BATCH_SIZE, EvaluationSkipped, Sampler
from multigan.core.results_table import finite_or_none
from multigan.core.rng import keyed_rng
from multigan.core.serialization import to_config
from multigan.engine.monitoring import TrainingMonitor, first_not_finite
from multigan.engine.optimization import ROLLBACK, NonFiniteError
from multigan.engine.trainer import AdversarialTrainer, Step
from multigan.runs.checkpoint import load_checkpoint, prune, save_checkpoint, save_generator
from multigan.runs.directory import RunDirectory, read_jsonl
from multigan.runs.train_options import StageOptions, TrainOptions
from multigan.storage.checkpoint_files import LIKELIHOOD_CHECKPOINT
from multigan.storage.files import cache_dir
from multigan.training.metric_logging import (
    USUAL,
    MetricAverager,
    ProgressDisplay,
    TensorBoardLogger,
)
from multigan.training.signals import Interrupted, SignalHandler


class TrainingFailed(Exception):
    """A run that cannot go on; its last good checkpoint is intact."""

    exit_status = 1


FINISHED = "finished"
ROLLBACKS = 3  # at most, in one run
ROLLBACK_LR_FACTOR = 0.5  # of the learning rates, after each of them


@dataclass(frozen=True)
class Run:
    """A run that has ended: where it is, how far it came, why it ended."""

    path: Path
    step: int
    ended: str
    is_first: bool = True  # of the processes that trained it


class Loop:
    """Drives a trainer through a run directory. All files of a running training are its work.

    Of several processes the first one writes, samples and measures, and the others wait for it.
    What is decided by is the same in all of them: they log, go back and stop at the same steps.
    """

    def __init__(
        self,
        trainer: AdversarialTrainer,
        run: RunDirectory,
        stages: StageOptions,
        show: int = USUAL,
        cache: str | None = None,
    ) -> None:
        self.trainer, self.run, self.stages = trainer, run, stages
        self.processes = trainer.processes
        self.show = show if self.processes.is_rank_zero else 0
        self.data = trainer.recipe.data
        self.meter, self.health = (
            MetricAverager(),
            TrainingMonitor(trainer.recipe, trainer.schedule_steps),
        )
        self.rollbacks = 0
        self.best = float("inf")  # the selection metric on the validation split
        self.stale = 0  # measurements since it improved
        self.seconds = 0.0  # spent training, over all resumptions
        self._cache = cache_dir(cache)
        self._unmeasured = False
        domain = to_config(self.data.domain)
        self.descriptions = {
            "generator": {"domain": domain, "generator": to_config(trainer.generator)},
            "generator_ema": {"domain": domain, "generator": to_config(trainer.generator)},
            "discriminator": {"domain": domain, "discriminator": to_config(trainer.discriminator)},
        }

    @property
    def flags(self) -> TrainOptions:
        """Those of the stage that the last step belongs to."""
        return self.stages.game if self.trainer.number else self.stages.likelihood

    def begin(self) -> None:
        """Empty the logs and keep the initial weights as the checkpoint of step 0."""
        self.trainer.sync_replicas()
        self._first(self.run.cut_back, -1)
        self._save(0)

    def _first(self, write: Callable[..., Any], *arguments: Any) -> Any:
        """What the first process gets from `write`; the others get it from there."""
        return self.processes.on_rank_zero(lambda: write(*arguments))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where a checkpoint's state was taken."""
        self.trainer.restore(state["trainer"])
        self.meter.restore(state["meter"], self.trainer.device)
        self.health.restore(state["health"])
        self.rollbacks = state["rollbacks"]
        self.best, self.stale = state["best"], state["stale"]
        self.seconds = state["seconds"]
        self._first(self._cut_back)

    def _cut_back(self) -> None:
        """Forget what came later; warn if lines are lost of steps that the checkpoint has done."""
        self.run.cut_back(self.trainer.steps_done)
        found = {line["step"] for line in read_jsonl(self.run.log)}
        wanted = self.stages.logged(self.trainer.pretraining_steps, self.trainer.steps_done)
        if lost := [step for step in wanted if step not in found]:
            warnings.warn(
                f"{self.run.log} is damaged: {len(lost)} of its lines are lost, the first at step "
                f"{lost[0]}; the training goes on as if they were there",
                stacklevel=2,
            )

    def go(self) -> Run:
        """Train to the end. Raises Interrupted (saved) or TrainingFailed (last checkpoint good)."""
        trainer = self.trainer
        watch = ProgressDisplay(
            trainer.steps_done, trainer.total_steps, trainer.recipe.batch_size, self.show
        )
        before, started = self.seconds, time.monotonic()
        wanted = self.flags.tensorboard and self.processes.is_rank_zero
        logged = TensorBoardLogger(self.run, wanted, trainer.steps_done + 1)
        with watch, SignalHandler() as interrupt, logged as events:
            ended = None
            while ended is None:
                try:
                    ended = self._play(watch, interrupt, events, started - before)
                except NonFiniteError as error:
                    self._go_back(str(error), watch)
        self._first(lambda: self.run.describe(self.run.description() | {"ended": ended}))
        return Run(self.run.path, trainer.steps_done, ended, self.processes.is_rank_zero)

    def _play(
        self,
        watch: ProgressDisplay,
        interrupt: SignalHandler,
        events: TensorBoardLogger,
        since: float,
    ) -> str:
        """Train on to the end; why it came. Raises Interrupted, or NotFinite."""
        trainer = self.trainer
        for step in trainer.steps():
            flags = self.flags
            self.seconds = time.monotonic() - since
            self.meter.add(step.values)
            watch.step(step.number)
            learnt, last = trainer.pretraining_done, step.number == trainer.total_steps
            if learnt:
                watch.expect(trainer.total_steps)
                self._first(self._keep, LIKELIHOOD_CHECKPOINT)
            if _due(step, flags.log_every) or learnt or last:
                values = self._log(step, watch)
                watch.numbers(values)
                events.write(values, step.number)
            if _due(step, flags.sample_every) or last:
                self._first(self._preview, step)
            saved = _due(step, flags.save_every) or learnt or last
            if saved:
                self._measure(step, events)
                self._save(step.number)
            signal = self.processes.all_reduce_max(interrupt.number or 0)
            if signal and not saved:
                self._save(step.number)
            if signal and not last:
                said = (
                    f"stopped at step {step.number} of {trainer.total_steps}; go on with: "
                    f"multigan resume {self.run.path}"
                )
                raise Interrupted(signal, said if self.processes.is_rank_zero else "")
            if saved and flags.patience is not None and self.stale >= flags.patience:
                return f"no better {self.data.domain.selection_metric} in {self.stale} measurements"
        return FINISHED

    def _go_back(self, culprit: str, watch: ProgressDisplay) -> None:
        """Continue from the last checkpoint, at a smaller learning rate that it then keeps.

        Raises TrainingFailed where the policy is another one, or this has been done often enough.
        """
        failed_at = self.trainer.steps_done + 1
        done = self.rollbacks
        state = None
        if self.flags.not_finite == ROLLBACK and done < ROLLBACKS:
            state = self._first(load_checkpoint, self.run.path, self.trainer.networks())
        if state is None:
            tried = f" after {done} rollbacks" if done else ""
            self._fail(
                f"step {failed_at}: {culprit} is not finite, so training stopped{tried}; the last "
                f"good checkpoint is kept in {self.run.checkpoints}; try a smaller learning rate, "
                "a larger gamma, or --not-finite rollback"
            )
        self.restore(state)
        self.rollbacks = done + 1
        self.trainer.lr_scale *= ROLLBACK_LR_FACTOR
        step, share = self.trainer.steps_done, self.trainer.lr_scale
        said = (
            f"{culprit} was not finite at step {failed_at}: back to step {step}, at {share:g} of "
            f"the learning rates ({self.rollbacks} of at most {ROLLBACKS} times)"
        )
        watch.say(said)
        line = {"step": step, "health": {"not finite": said}}
        self._first(self._append_once, line)
        self._save(step)

    def _fail(self, text: str) -> NoReturn:
        raise TrainingFailed(text if self.processes.is_rank_zero else "")

    def _append_once(self, line: dict[str, Any]) -> None:
        if line not in read_jsonl(self.run.log):  # written before a kill, and before this state
            self.run.append(self.run.log, line)

    def _log(self, step: Step, watch: ProgressDisplay) -> dict[str, float]:
        values = self.meter.read()
        values |= {name: value.item() for name, value in self.trainer.diversity_metrics().items()}
        self._demand_finite(first_not_finite(values))
        said = self.health.read(self.trainer.number, values)
        watch.signs(said)
        line = {
            "step": step.number,
            "samples_seen": step.samples_seen,
            "epoch": round(self.trainer.epochs, 4),
            "seconds": round(self.seconds, 2),
        }
        signs = {"health": said} if said else {}
        self._first(self.run.append, self.run.log, line | values | signs)
        return values

    def _demand_finite(self, culprit: str | None) -> None:
        if culprit is not None:
            raise NonFiniteError(culprit)

    def _preview(self, step: Step) -> None:
        domain = self.data.domain
        samples = self._sampler().sample(SAMPLING_BATCH_SIZE, self.trainer.seed)
        domain.preview(samples, self.run.samples / f"step-{step.number:09d}")

    def _sampler(self) -> Sampler:
        return Sampler(self.data.domain, self.trainer.ema.module)  # type: ignore[arg-type]

    def _save(self, number: int) -> None:
        networks = self.trainer.networks()
        self._demand_finite(first_not_finite({}, networks))
        self.processes.check_replicas_equal(networks)
        state = {
            "trainer": self.trainer.state(),
            "meter": self.meter.state(),
            "health": self.health.state(),
            "rollbacks": self.rollbacks,
            "best": self.best,
            "stale": self.stale,
            "seconds": self.seconds,
        }
        self._first(self._write, self.run.checkpoints / f"step-{number:09d}", state)

    def _write(self, folder: Path, state: Mapping[str, Any]) -> None:
        self.run.flush()
        save_checkpoint(folder, self.trainer.networks(), self.descriptions, state)
        prune(self.run.path)

    def _keep(self, name: str) -> None:
        """Keep the averaged generator as it is now under a name of its own."""
        description = self.descriptions["generator_ema"]
        save_generator(self.run.path, name, self.trainer.ema.module, description)

    def _measure(self, step: Step, events: TensorBoardLogger) -> None:
        """Measure against the validation split, which alone chooses the best checkpoint.

        The likelihood stage is measured at its end, or all along if the recipe says so; none of
        its checkpoints can be the best.
        """
        playing = self.trainer.number > 0
        if not (
            playing
            or self.trainer.pretraining_done
            or self.trainer.recipe.evaluate_during_likelihood
        ):
            return
        self._demand_finite(first_not_finite({}, self.trainer.networks()))
        figures = self._first(self._figures, step, events)
        if figures is None or not playing:
            return
        selection = figures.get(self.data.domain.selection_metric, float("nan"))
        if selection < self.best:
            self.best, self.stale = selection, 0
            self._first(self._keep, "best")
        else:
            self.stale += 1

    def _figures(self, step: Step, events: TensorBoardLogger) -> dict[str, float] | None:
        """What the domain measures, which is logged; None, after a warning, where it cannot."""
        rng = keyed_rng(self.trainer.seed, "evaluate", step.number)
        valid, evaluate = self.data.split("valid"), self.data.domain.evaluate
        try:
            figures = evaluate(self._sampler(), valid, rng, self._cache).model
        except EvaluationSkipped as error:  # no reason not to train
            if not self._unmeasured:
                warnings.warn(f"not measured, so no best checkpoint: {error}", stacklevel=2)
            self._unmeasured = True
            return None
        self.run.append(self.run.metrics, {"step": step.number} | finite_or_none(figures))
        events.write({f"valid/{name}": value for name, value in figures.items()}, step.number)
        return {name: float(value) for name, value in figures.items()}


def _due(step: Step, every: int | None) -> bool:
    return every is not None and step.number % every == 0
