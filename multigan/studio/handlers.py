"""From what the page sends to samples, as the page shows them."""

from __future__ import annotations

import base64
import math
import re
import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import perf_counter
from typing import Any

from multigan.core.media import sample_media
from multigan.core.protocols import Sampler
from multigan.report.html_builder import render_media
from multigan.studio.form import SEEDS, wishes_of
from multigan.studio.latent_edits import DIRECTIONS, EditSettings, sample_with_edits

MOST_SAMPLES = 512
UNSAFE = re.compile(r"[^\w. -]+")  # in the name of a file
LONGEST_NAME = 80


class RequestHandler:
    """Makes samples of one generator for one page, one request after the other.

    `trusted` is the recipe file that it could only be loaded with, if there is one.
    """

    def __init__(self, sampler: Sampler, name: str, trusted: Path | None = None) -> None:
        self.sampler, self.name, self.trusted = sampler, name, trusted
        self.options = {option.name: option for option in wishes_of(sampler)}
        self.lock = Lock()

    def make(self, asked: Any) -> dict[str, Any]:
        """The answer to a request: `html`, `command`, `seconds` and `warnings`.

        Raises ValueError, in one line, for what cannot be made.
        """
        if not isinstance(asked, dict):
            raise ValueError("wanted a JSON object")
        n = _whole(asked.get("n"), "how many", 1, MOST_SAMPLES)
        seed = _whole(asked.get("seed"), "seed", 0, SEEDS - 1)
        moves = _moves(asked)
        with (
            TemporaryDirectory() as folder,
            self.lock,
            warnings.catch_warnings(record=True) as said,
        ):
            warnings.simplefilter("always")
            wishes = self._wishes(asked.get("wishes"), Path(folder))
            started = perf_counter()
            try:
                samples = sample_with_edits(self.sampler, n, seed, moves, **wishes)
                html = render_media(sample_media(self.sampler.domain, samples))
            except (ValueError, RuntimeError) as error:  # RuntimeError: what a network raises
                raise ValueError(_line(error, folder)) from error
            return {
                "html": html,
                "command": "" if moves.any else self._command(n, seed, wishes),
                "seconds": round(perf_counter() - started, 3),
                "warnings": [_line(w.message, folder) for w in said],
            }

    def _wishes(self, asked: Any, folder: Path) -> dict[str, Any]:
        """The wishes that were made, of the types that the domain wants; files go to `folder`."""
        if not isinstance(asked, dict):
            raise ValueError("wishes are no JSON object")
        if unknown := sorted(set(asked) - set(self.options)):
            raise ValueError(f"no wish is called {unknown[0]!r}")
        given = {name: value for name, value in asked.items() if value not in (None, "", False)}
        return {
            name: READERS.get(self.options[name].type, _text)(name, value, folder)
            for name, value in given.items()
        }

    def _command(self, n: int, seed: int, wishes: Mapping[str, Any]) -> str:
        """The command that writes these very samples."""
        words = ["multigan", "sample", self.name, "-n", str(n), "--seed", str(seed)]
        words += [] if self.trusted is None else ["--trust", str(self.trusted)]
        for name, value in wishes.items():
            flag = "--" + name.replace("_", "-")
            shown = value.name if isinstance(value, Path) else str(value)
            words += [flag] if value is True else [flag, shown]
        return shlex.join(words)


def _line(error: Any, folder: str) -> str:
    """What went wrong, in one line, without the folder that nobody asked about."""
    return " ".join(str(error).replace(f"{folder}/", "").split())


def _moves(asked: Mapping[str, Any]) -> EditSettings:
    places = asked.get("places", [])
    if not isinstance(places, list) or len(places) > DIRECTIONS:
        raise ValueError(f"places are no list of {DIRECTIONS} numbers at most")
    return EditSettings(
        _whole(asked.get("other_seed", 0), "the other seed", 0, SEEDS - 1),
        _within(asked.get("share", 0), "how far", 0, 1),
        tuple(_within(place, "a direction", -1, 1) for place in places),
    )


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; wanted a whole number from {low} to {high}")
    return value


def _within(value: Any, name: str, low: float, high: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; wanted a number from {low} to {high}")
    return float(value)


def _text(name: str, value: Any, folder: Path) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; wanted text")
    return value


def _integer(name: str, value: Any, folder: Path) -> int:
    try:
        return int(_text(name, value, folder))
    except ValueError:
        raise ValueError(f"{name} is {value!r}; wanted a whole number") from None


def _number(name: str, value: Any, folder: Path) -> float:
    try:
        number = float(_text(name, value, folder))
    except ValueError:
        raise ValueError(f"{name} is {value!r}; wanted a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value!r}; wanted a finite number")
    return number


def _choice(name: str, value: Any, folder: Path) -> bool:
    if value is not True:
        raise ValueError(f"{name} is {value!r}; wanted yes or no")
    return True


def _file(name: str, value: Any, folder: Path) -> Path:
    """A file that was sent, written under a harmless name."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no file")
    text = _text(name, value.get("content"), folder)
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"{name}: its content is no base64") from None
    sent = UNSAFE.sub("_", _text(name, value.get("name"), folder)).strip(". ")
    file = folder / name / (sent[-LONGEST_NAME:] or "file")
    file.parent.mkdir()
    file.write_bytes(content)
    return file


READERS = {int: _integer, float: _number, bool: _choice, Path: _file}
