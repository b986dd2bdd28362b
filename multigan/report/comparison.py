"""Differences between runs, and a conclusion on the better one that states the noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from multigan.core.quality import Quality, readable
from multigan.report.run_summary import RunSummary

SEED = "Seed"
NOT_A_SETTING = ("Versions", "Data fingerprint")  # facts that no user chose
CLEAR = 2.0  # standard errors of a difference


class Group(NamedTuple):
    """Runs of equal settings, whatever their seeds, and their headline metric."""

    names: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return statistics.fmean(self.values)

    @property
    def variance_of_mean(self) -> float:
        """The variance of `mean`; nan for a single run."""
        n = len(self.values)
        return statistics.variance(self.values) / n if n > 1 else math.nan

    @property
    def label(self) -> str:
        """The name of the run, or of the first and the number of the rest."""
        rest = len(self.names) - 1
        return self.names[0] + (f" and {rest} more of its settings" if rest else "")


def settings(summary: RunSummary) -> dict[str, str]:
    """Return the settings of a run by name: recipe, seed and hyperparameters.

    For a run of objects in Python, which has no hyperparameters: its facts.
    """
    facts = {name: text for name, text in summary.facts if name not in NOT_A_SETTING}
    given = dict(summary.hyperparameters)
    return {name: facts[name] for name in ("Recipe", SEED)} | given if given else facts


def differences(summaries: Sequence[RunSummary]) -> dict[str, list[str]]:
    """Return the settings that differ: name -> the value in each run, empty where it has none."""
    stated = [settings(summary) for summary in summaries]
    names = dict.fromkeys(name for each in stated for name in each)
    columns = {name: [each.get(name, "") for each in stated] for name in names}
    return {name: column for name, column in columns.items() if len(set(column)) > 1}


def conclusion(summaries: Sequence[RunSummary]) -> str:
    """Return which settings are better in the headline metric, and if the difference is clear.

    Runs that differ in nothing but their seed are one group. Two groups differ clearly if their
    means differ by more than CLEAR standard errors, or, with one run each, if the 95 % intervals of
    the evaluation do not overlap.
    """
    found = [(summary, summary.quality) for summary in summaries]
    measured = {s.name: (s, quality[0]) for s, quality in found if quality is not None}
    metrics = {quality.metric for _, quality in measured.values()}
    if len(measured) < len(summaries) or len(metrics) != 1:
        return "No conclusion: the runs have no headline metric in common; run multigan evaluate."
    groups = sorted(_groups(measured), key=lambda group: group.mean)
    if len(groups) == 1:
        return f"{_of_group(groups[0])}: one setting, whose spread over seeds this is."
    best, second = groups[:2]
    metric = readable(metrics.pop())
    stated = f"{best.label} is lower in {metric}, {_of_group(best)} against {_of_group(second)}"
    error = math.sqrt(best.variance_of_mean + second.variance_of_mean)
    if math.isfinite(error):
        clear = second.mean - best.mean > CLEAR * error
        reason = f"the standard error of the difference over seeds is {error:.2g}"
        return f"{stated}: {_claim(clear)}; {reason}."
    ends = [_interval(measured[g.names[0]][0]) for g in (best, second)]
    if None not in ends and len(best.names) == len(second.names) == 1:
        clear = ends[0][1] < ends[1][0]  # type: ignore[index]
        return f"{stated}: {_claim(clear)} of the samples; seeds may differ by more."
    return f"{stated}. One run of each does not show the noise: train each with several seeds."


def _claim(is_clear: bool) -> str:
    return "better beyond the noise" if is_clear else "no difference beyond the noise"


def _of_group(group: Group) -> str:
    if len(group.values) == 1:
        return f"{group.mean:.3g}"
    spread = statistics.stdev(group.values)
    return f"{group.mean:.3g} (sd {spread:.2g}, {len(group.values)} seeds)"


def _groups(measured: dict[str, tuple[RunSummary, Quality]]) -> list[Group]:
    """Group the runs by their settings without the seed."""
    members: dict[str, list[str]] = {}
    for name, (summary, _) in measured.items():
        key = {k: v for k, v in settings(summary).items() if k != SEED}
        members.setdefault(str(key), []).append(name)
    return [Group(tuple(m), tuple(measured[n][1].value for n in m)) for m in members.values()]


def _interval(summary: RunSummary) -> list[float] | None:
    """Return the interval of the headline metric of the generator, if there is one."""
    table, quality = summary.metric_table, summary.quality
    if table is None or quality is None or not table.is_complete:
        return None
    return table.intervals.get(list(table.rows)[-1], {}).get(quality[0].metric)
