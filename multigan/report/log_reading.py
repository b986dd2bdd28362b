"""One pass through a log of any length: evenly spaced lines, diagnoses, and counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from multigan.runs.directory import log_texts, parse_log_line

MAX_LINES = 2000  # that are kept: two for each point of a curve
ADVERSARIAL_KEY = "logits/gap"  # that every log line of the adversarial stage has
ADVERSARIAL_TEXT, DIAGNOSTICS_TEXT = f'"{ADVERSARIAL_KEY}":'.encode(), b'"diagnostics"'


class Diagnosis(NamedTuple):
    """A training diagnosis: its last message and the steps between which it was found."""

    name: str
    message: str
    first_step: int
    last_step: int
    is_current: bool  # at the last line of its file


class LogContents(NamedTuple):
    """The contents of a log that a page shows."""

    lines: list[dict[str, Any]]  # evenly spaced, with the first and the last
    diagnoses: list[Diagnosis]
    judged_lines: int  # number of those of the adversarial stage
    judged_checkpoints: int  # number of those with diagnostics, perhaps none
    judged_steps: list[int]  # of the kept ones, counted after likelihood pretraining

    @property
    def last_step(self) -> int:
        """The step of the last line; 0 of an empty log."""
        return self.lines[-1]["step"] if self.lines else 0


def read_log(file: Path) -> LogContents:
    """Read a log line by line, and keep at most MAX_LINES of its lines.

    Lines of numbers that are not kept are counted without being parsed.
    """
    kept: list[dict[str, Any]] = []
    found: dict[str, Diagnosis] = {}
    line: dict[str, Any] = {}
    unparsed = b""
    count, judged, checked, stride, pretraining = 0, 0, 0, 1, 0
    for text in log_texts(file):
        if count % stride and _holds_numbers_alone(text):
            count, judged, unparsed = count + 1, judged + 1, text
            continue
        if (parsed := parse_log_line(text)) is None:
            continue
        line, unparsed = parsed, b""
        if count % stride == 0:
            kept.append(line)
            if len(kept) > MAX_LINES:
                kept, stride = kept[::2], 2 * stride
        count += 1
        if ADVERSARIAL_KEY in line:
            judged += 1
        elif "seconds" in line and judged == 0:
            pretraining = max(pretraining, line["step"])
        checked += isinstance(line.get("diagnostics"), dict)
        _add_diagnoses(found, line)
    line = parse_log_line(unparsed) or line
    if kept and kept[-1] is not line:
        kept.append(line)
    last = line.get("step")
    diagnoses = [d._replace(is_current=d.last_step == last) for d in found.values()]
    before = pretraining if judged else 0
    steps = [item["step"] - before for item in kept if ADVERSARIAL_KEY in item]
    return LogContents(kept, diagnoses, judged, checked, steps)


def _holds_numbers_alone(text: bytes) -> bool:
    """Check if a line is one of the adversarial stage, whole, and without a diagnosis."""
    is_whole = text.startswith(b"{") and text.endswith(b"}\n")
    return is_whole and ADVERSARIAL_TEXT in text and DIAGNOSTICS_TEXT not in text


def _add_diagnoses(found: dict[str, Diagnosis], line: dict[str, Any]) -> None:
    """Add the diagnoses of a line to those found so far."""
    entries = line.get("diagnostics")
    for name, message in entries.items() if isinstance(entries, dict) else ():
        first = found[name].first_step if name in found else line["step"]
        found[name] = Diagnosis(name, str(message), first, line["step"], is_current=False)


def finite_or_none(value: Any) -> float | None:
    """Return a finite number, or None; the log of an untrusted run may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e300 and math.isfinite(value) else None


def finite_values(row: Any) -> dict[str, float]:
    """Return the finite numbers of a row, by name."""
    pairs = row.items() if isinstance(row, dict) else ()
    return {str(k): number for k, v in pairs if (number := finite_or_none(v)) is not None}


def subsample(items: list[Any], most: int) -> list[Any]:
    """Return at most `most` items, evenly spaced, with the first and the last."""
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]
