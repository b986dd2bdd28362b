"""Feed damaged files to a reader and check its result."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.fuzz import targets_images, targets_music, targets_runs, targets_text
from tests.fuzz.mutations import changed_json, damaged
from tests.fuzz.reader import Reader

READERS = (
    targets_images.READERS | targets_music.READERS | targets_text.READERS | targets_runs.READERS
)
MAX_SECONDS = 10  # of processor time, for one input
EXTRA_BYTES = 3 * 2**30  # of address space: what a reader may take on top of what there is
FAILED = Path(tempfile.gettempdir()) / "multigan-fuzz"


class TooSlow(BaseException):
    """One input took longer than MAX_SECONDS."""


@dataclass
class Fed:
    """What became of the inputs of one reader."""

    inputs: int = 0
    refused: int = 0  # in one line; the others were read
    slowest_seconds: float = 0.0
    peak_bytes: int = 0  # more than before
    failures: dict[str, str] = field(default_factory=dict)  # what is wrong -> the first input


@contextmanager
def time_limit() -> Iterator[None]:
    """A block that may take MAX_SECONDS of this process's time. Raises TooSlow."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def memory_limit() -> Iterator[None]:
    """A block in which no more than EXTRA_BYTES can be taken: what asks for more is refused."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + EXTRA_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _memory(name: str) -> int:
    """A size of this process in bytes, as Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


@contextmanager
def peak_memory(fed: Fed) -> Iterator[None]:
    """A block whose highest use of memory, beyond what there was before, is noted."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls to what is used now
    before = _memory("VmRSS")
    yield
    fed.peak_bytes = max(fed.peak_bytes, _memory("VmHWM") - before)


def problem(reader: Reader, file: Path, fed: Fed) -> str | None:
    """What is wrong with how a reader takes a file: None if it is read, or refused in one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with time_limit():
                reader.read(file)
        except (ValueError, OSError) as error:
            fed.refused += 1
            wrong = _wrong_with(error, file if reader.names_file else None)
            if wrong is not None:
                return f"{wrong} at {_place(error)}"
        except BaseException as error:  # a panic of a library in Rust is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            return f"{type(error).__name__} at {_place(error)}"
    return next((wrong for w in caught if (wrong := _wrong_with_warning(w))), None)


def _wrong_with(error: Exception, file: Path | None) -> str | None:
    """A ValueError or OSError that is none of ours: of several lines, or it names no file."""
    said = str(error)
    if isinstance(error, UnicodeError) or "\n" in said:
        return f"{type(error).__name__} of another's"
    return "an error without the file" if file and file.name not in said else None


def _wrong_with_warning(warning: Any) -> str | None:
    known = warning.category is UserWarning and "\n" not in str(warning.message)
    return None if known else f"{warning.category.__name__}: {str(warning.message)[:60]}"


def _place(error: BaseException) -> str:
    """Where an exception was raised: our innermost line, and the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/multigan/" in f.filename and "site-packages" not in f.filename]
    named = [f"{Path(f.filename).name}:{f.lineno}" for f in (*ours[-1:], *frames[-1:])]
    return " > ".join(dict.fromkeys(named))


def inputs_of(reader: Reader, folder: Path) -> st.SearchStrategy[bytes]:
    """Spoilt files of one kind."""
    samples = reader.samples(folder)
    kinds: list[Callable[[bytes], Any]] = [damaged]
    kinds += [changed_json] * 2 if reader.is_json else []
    return st.one_of([kind(sample) for sample in samples for kind in kinds])


def feed(name: str, count: int, folder: Path, seed: int = 0) -> Fed:
    """Feed `count` spoilt files to the reader called `name`; what fails is kept below FAILED."""
    reader, fed = READERS[name], Fed()
    (folder / "made").mkdir(parents=True)
    (folder / "read").mkdir()
    file = folder / "read" / reader.name
    file.write_bytes(reader.samples(folder / "made")[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader.read(file)  # whole files are read; and what is imported late is there

    @seeded(seed)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(inputs_of(reader, folder / "made"))
    def read(content: bytes) -> None:
        fed.inputs += 1
        file.write_bytes(content)
        begun = time.process_time()
        wrong = problem(reader, file, fed)
        fed.slowest_seconds = max(fed.slowest_seconds, time.process_time() - begun)
        if wrong is not None and wrong not in fed.failures:
            fed.failures[wrong] = _keep(name, content)

    with peak_memory(fed), memory_limit():
        read()
    return fed


def _keep(name: str, content: bytes) -> str:
    """Write a failing input to a file of its own; where it is."""
    FAILED.mkdir(exist_ok=True)
    digest = hashlib.blake2b(content, digest_size=4).hexdigest()
    kept = FAILED / f"{name.replace(' ', '-')}-{os.getpid()}-{digest}.bin"
    kept.write_bytes(content)
    return str(kept)
