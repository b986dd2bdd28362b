"""Requests of the page: from JSON to samples as HTML."""

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
from multigan.core.number_limits import check_numbers
from multigan.core.protocols import Sampler
from multigan.report.html_elements import render_media
from multigan.studio.form import MAX_SEED, requestable_options
from multigan.studio.latent_edits import DIRECTIONS, EditSettings, sample_with_edits

MAX_SAMPLES = 512
UNSAFE = re.compile(r"[^\w. -]+")  # in the name of a file
MAX_NAME_LENGTH = 80


class RequestHandler:
    """Sample from one generator for one page, one request after the other.

    `trusted` is the recipe file that the generator was loaded with, if any.
    """

    def __init__(self, sampler: Sampler, name: str, trusted: Path | None = None) -> None:
        self.sampler, self.name, self.trusted = sampler, name, trusted
        self.options = {option.name: option for option in requestable_options(sampler)}
        self.lock = Lock()

    def handle(self, request: Any) -> dict[str, Any]:
        """Answer a request: `html`, `command`, `seconds` and `warnings`.

        Raises ValueError, in one line, for an invalid request.
        """
        if not isinstance(request, dict):
            raise ValueError("a request must be a JSON object")
        n = _integer_in(request.get("n"), "samples", 1, MAX_SAMPLES)
        seed = _integer_in(request.get("seed"), "seed", 0, MAX_SEED)
        edits = _edit_settings(request)
        with (
            TemporaryDirectory() as folder,
            self.lock,
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            options = self._options(request.get("options"), Path(folder))
            check_numbers(options, is_ours=False)
            started = perf_counter()
            try:
                samples = sample_with_edits(self.sampler, n, seed, edits, **options)
                html = render_media(sample_media(self.sampler.domain, samples))
            except (ValueError, RuntimeError) as error:  # RuntimeError: raised by networks
                raise ValueError(_line(error, folder)) from error
            return {
                "html": html,
                "command": "" if edits.any else self._command(n, seed, options),
                "seconds": round(perf_counter() - started, 3),
                "warnings": [_line(w.message, folder) for w in caught],
            }

    def _options(self, requested: Any, folder: Path) -> dict[str, Any]:
        """Sampling options, converted to their types; files are written to `folder`."""
        if not isinstance(requested, dict):
            raise ValueError("options must be a JSON object")
        if unknown := sorted(set(requested) - set(self.options)):
            raise ValueError(f"unknown option {unknown[0]!r}")
        values = {k: value for k, value in requested.items() if value not in (None, "", False)}
        return {
            name: READERS.get(self.options[name].type, _text)(name, value, folder)
            for name, value in values.items()
        }

    def _command(self, n: int, seed: int, options: Mapping[str, Any]) -> str:
        """The command that writes the same samples."""
        words = ["multigan", "sample", self.name, "-n", str(n), "--seed", str(seed)]
        words += [] if self.trusted is None else ["--trust-recipe", str(self.trusted)]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            text = value.name if isinstance(value, Path) else str(value)
            words += [flag] if value is True else [flag, text]
        return shlex.join(words)


def _line(error: object, folder: str) -> str:
    """A message in one line, without the temporary folder."""
    return " ".join(str(error).replace(f"{folder}/", "").split())


def _edit_settings(request: Mapping[str, Any]) -> EditSettings:
    positions = request.get("positions", [])
    if not isinstance(positions, list) or len(positions) > DIRECTIONS:
        raise ValueError(f"positions must be a list of at most {DIRECTIONS} numbers")
    return EditSettings(
        _integer_in(request.get("other_seed", 0), "other_seed", 0, MAX_SEED),
        _number_in(request.get("fraction", 0), "fraction", 0, 1),
        tuple(_number_in(position, "a position", -1, 1) for position in positions),
    )


def _integer_in(value: object, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}; got {value!r}")
    return value


def _number_in(value: object, name: str, low: float, high: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}; got {value!r}")
    return float(value)


def _text(name: str, value: object, folder: Path) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text; got {value!r}")
    return value


def _integer(name: str, value: object, folder: Path) -> int:
    try:
        return int(_text(name, value, folder))
    except ValueError:
        raise ValueError(f"{name} must be an integer; got {value!r}") from None


def _number(name: str, value: object, folder: Path) -> float:
    try:
        number = float(_text(name, value, folder))
    except ValueError:
        raise ValueError(f"{name} must be a number; got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite; got {value!r}")
    return number


def _flag(name: str, value: object, folder: Path) -> bool:
    if value is not True:
        raise ValueError(f"{name} must be true or false; got {value!r}")
    return True


def _file(name: str, value: object, folder: Path) -> Path:
    """Write an uploaded file under a safe name."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a file; got a {type(value).__name__}")
    text = _text(name, value.get("content"), folder)
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"{name}: the content must be base64") from None
    safe = UNSAFE.sub("_", _text(name, value.get("name"), folder)).strip(". ")
    file = folder / name / (safe[-MAX_NAME_LENGTH:] or "file")
    file.parent.mkdir()
    file.write_bytes(content)
    return file


READERS = {int: _integer, float: _number, bool: _flag, Path: _file}
