"""Requests of the page: from JSON to samples as HTML or as files."""

from __future__ import annotations

import base64
import io
import math
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from multigan.core.media import sample_media
from multigan.core.number_limits import check_numbers
from multigan.core.option_controls import Projection, SupportsProjection
from multigan.core.protocols import Sample, Sampler, SupportsConditionOptions
from multigan.core.rng import keyed_rng
from multigan.report.html_elements import render_media
from multigan.storage.checkpoint_integrity import sha256
from multigan.studio.form import MAX_SEED, requestable_options
from multigan.studio.latent_directions import COMPONENTS, principal_directions
from multigan.studio.latent_edits import (
    DIRECTIONS,
    EditSettings,
    Ends,
    Origin,
    sample_with_edits,
    supports_class_edits,
)

MAX_SAMPLES = 512
PROJECTION_STEPS = 100  # of an uploaded file
UNSAFE = re.compile(r"[^\w. -]+")  # in the name of a file
MAX_NAME_LENGTH = 80


class SampleRequest(NamedTuple):
    """A checked request."""

    n: int
    seed: int
    edits: EditSettings
    options: dict[str, Any]
    upload: Path | None = None  # the file that samples begin from


class RequestHandler:
    """Sample from one generator for one page, one request after the other.

    `trusted` is the recipe file that the generator was loaded with, if any.
    """

    def __init__(self, sampler: Sampler, name: str, trusted: Path | None = None) -> None:
        self.sampler, self.name, self.trusted = sampler, name, trusted
        self.options = {option.name: option for option in requestable_options(sampler)}
        self.lock = Lock()
        self._directions: list[Ends] | None = None  # found when they are first asked for
        self._projected: dict[str, Projection] = {}  # by the hash of the file: the last one

    def handle(self, request: Any) -> dict[str, Any]:
        """Answer a request: `html`, `command`, `seconds` and `warnings`.

        Raises ValueError, in one line, for an invalid request.
        """
        with TemporaryDirectory() as folder, self._recording() as caught:
            checked = self._checked(request, Path(folder))
            started = perf_counter()
            samples = self._samples(checked, folder)
            html = render_media(sample_media(self.sampler.domain, samples))
            is_edited = checked.edits.any or checked.upload is not None
            return {
                "html": html,
                "command": "" if is_edited else self._command(checked),
                "seconds": round(perf_counter() - started, 3),
                "warnings": [_line(w.message, folder) for w in caught],
            }

    def download(self, body: Any) -> tuple[str, bytes]:
        """Return a file name and the content: one file as it is, several as a zip.

        `body` holds `parts`: requests, and of each the `indices` of the samples to write. Raises
        ValueError as `handle` does.
        """
        parts = body.get("parts") if isinstance(body, dict) else None
        if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_SAMPLES:
            raise ValueError(f"parts must be a list of 1 to {MAX_SAMPLES} requests")
        with TemporaryDirectory() as folder, self._recording():
            written = Path(folder) / "written"
            for number, part in enumerate(parts):
                self._write_part(part, Path(folder) / str(number), written / f"{number:03d}")
            return _packed(written)

    def _write_part(self, part: Any, uploads: Path, folder: Path) -> None:
        """Write the chosen samples of one request into `folder`."""
        if not isinstance(part, dict) or not isinstance(part.get("indices"), list):
            raise ValueError("a part must hold a request and the indices of its samples")
        uploads.mkdir()
        folder.mkdir(parents=True)
        checked = self._checked(part.get("request"), uploads)
        chosen = [_integer_in(k, "an index", 0, checked.n - 1) for k in part["indices"]]
        samples = self._samples(checked, str(uploads))
        self.sampler.domain.write([samples[k] for k in chosen], folder)

    @contextmanager
    def _recording(self) -> Iterator[list[warnings.WarningMessage]]:
        """Hold the lock, and record warnings, which are global to the process."""
        with self.lock, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught

    def _checked(self, request: Any, folder: Path) -> SampleRequest:
        """Check a request; uploads are written to `folder`."""
        if not isinstance(request, dict):
            raise ValueError("a request must be a JSON object")
        n = _integer_in(request.get("n"), "samples", 1, MAX_SAMPLES)
        seed = _integer_in(request.get("seed"), "seed", 0, MAX_SEED)
        edits = _edit_settings(request)
        if edits.class_fraction:
            self._check_class(edits.class_index)
        options = self._options(request.get("options"), folder)
        check_numbers(options, is_ours=False)
        given = request.get("project")
        upload = None if given is None else _file("project", given, folder)
        return SampleRequest(n, seed, edits, options, upload)

    def _samples(self, checked: SampleRequest, folder: str) -> list[Sample]:
        """Sample; errors become ValueError in one line, without the temporary folder."""
        n, seed, edits, options, upload = checked
        try:
            projection = None if upload is None else self._projection(upload)
            if projection is not None and self._chooses_condition(options):
                warnings.warn("the chosen condition is drawn, not that of the file", stacklevel=2)
            elif projection is not None:
                options = {**options, **projection.options}
            for name in () if projection is None else projection.moved_by:
                if name in options:
                    warnings.warn(f"{name} also moves the latent of the file", stacklevel=2)
            latent = None if projection is None else projection.latent
            origin = Origin(latent, self._principal(edits))
            return sample_with_edits(self.sampler, n, seed, edits, origin, **options)
        except (ValueError, RuntimeError) as error:  # RuntimeError: raised by networks
            raise ValueError(_line(error, folder)) from error

    def _check_class(self, index: int) -> None:
        """Raise ValueError unless samples can be moved to the class of this index."""
        if not supports_class_edits(self.sampler):
            raise ValueError("class_fraction must be 0: this generator has no classes to mix")
        count = len(self.sampler.domain.class_names)  # type: ignore[attr-defined]
        _integer_in(index, "class_index", 0, count - 1)

    def _principal(self, edits: EditSettings) -> list[Ends]:
        """The principal directions, if one of them is asked for."""
        if not any(edits.components):
            return []
        if self._directions is None:
            self._directions = principal_directions(self.sampler)
        if not self._directions:
            raise ValueError("this generator has no components: its samples are not of one pass")
        return self._directions

    def _chooses_condition(self, options: Mapping[str, Any]) -> bool:
        """True if any option makes a condition, which that of a projection would contradict."""
        domain = self.sampler.domain
        names = domain.condition_options if isinstance(domain, SupportsConditionOptions) else ()
        return any(name in options for name in names)

    def _projection(self, upload: Path) -> Projection:
        """The latent of an uploaded file; that of the last file is kept."""
        domain = self.sampler.domain
        if not isinstance(domain, SupportsProjection):
            raise ValueError("project must be left out: this domain finds no latent of a file")
        key = sha256(upload)
        if key not in self._projected:
            rng = keyed_rng("project")
            found = domain.project(self.sampler.generator, upload, PROJECTION_STEPS, rng)
            self._projected = {key: found}
        return self._projected[key]

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

    def _command(self, checked: SampleRequest) -> str:
        """The command that writes the same samples."""
        n, seed, options = checked.n, checked.seed, checked.options
        words = ["multigan", "sample", self.name, "-n", str(n), "--seed", str(seed)]
        words += [] if self.trusted is None else ["--trust-recipe", str(self.trusted)]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            text = value.name if isinstance(value, Path) else str(value)
            words += [flag] if value is True else [flag, text]
        return shlex.join(words)


def _packed(folder: Path) -> tuple[str, bytes]:
    """The only file of a folder, or all of them as a zip."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if len(files) == 1:
        return files[0].name, files[0].read_bytes()
    stream = io.BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(folder))
    return "samples.zip", stream.getvalue()


def _line(error: object, folder: str) -> str:
    """A message in one line, without the temporary folder."""
    return " ".join(str(error).replace(f"{folder}/", "").split())


def _edit_settings(request: Mapping[str, Any]) -> EditSettings:
    return EditSettings(
        _integer_in(request.get("other_seed", 0), "other_seed", 0, MAX_SEED),
        _number_in(request.get("fraction", 0), "fraction", 0, 1),
        _positions(request, "positions", DIRECTIONS),
        _positions(request, "components", COMPONENTS),
        _integer_in(request.get("class_index", 0), "class_index", 0, MAX_SEED),
        _number_in(request.get("class_fraction", 0), "class_fraction", 0, 1),
    )


def _positions(request: Mapping[str, Any], name: str, most: int) -> tuple[float, ...]:
    """Numbers in [-1, 1], at most `most`."""
    values = request.get(name, [])
    if not isinstance(values, list) or len(values) > most:
        raise ValueError(f"{name} must be a list of at most {most} numbers")
    return tuple(_number_in(value, f"each of {name}", -1, 1) for value in values)


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
