"""What is installed, what is missing and how to get it, where things lie, and whether all works."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from importlib import metadata
from io import StringIO
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

from packaging.requirements import Requirement

from multigan.core.recipe_file import recipe_names, recipes_folder
from multigan.core.serialization import domain_table, domains, import_attribute
from multigan.runs.directory import RUNS
from multigan.storage.files import default_cache_dir

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 20.0  # that the self-test of one domain should take at most, on a quiet machine
NEVER = 1_000_000_000  # steps between checkpoints: a self-test saves and measures at its end
SHOWN = 3  # samples that a self-test draws, writes and reads back


class RequirementStatus(NamedTuple):
    """One thing that is here or missing."""

    name: str
    found: str | None  # its version or state; None: missing
    get: str = ""  # the one line that gets what is missing
    of: str = ""  # the extra or domain that wants it; empty: everybody


class Location(NamedTuple):
    """Where something lies or would lie."""

    name: str
    path: str
    exists: bool
    writable: bool


class SelfTestResult(NamedTuple):
    """What became of a domain's self-test, and how long it took: wall time and CPU."""

    domain: str
    passed: bool
    said: str
    seconds: float
    cpu_seconds: float

    @property
    def slow(self) -> bool:
        """Whether it took longer than it should."""
        return self.seconds > SECONDS


def system_info() -> dict[str, Any]:
    """Versions and sizes of what everything runs on."""
    import torch

    from multigan import __version__

    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "multigan": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() if affinity is None else len(affinity(0)),
        "threads": torch.get_num_threads(),
    }


def check_requirements() -> list[RequirementStatus]:
    """All that multigan and its domains need, and what they can use."""
    installed = [found for name in _distributions() for found in packages(name)]
    states = [_asked(name, ask) for name, ask in STATES.items()]
    return [*installed, *states, *_of_domains()]


def packages(distribution: str) -> list[RequirementStatus]:
    """The packages that an installed distribution asks for, with those of its extras."""
    try:
        about = metadata.metadata(distribution)
    except metadata.PackageNotFoundError:
        return [RequirementStatus(distribution, None, "pip install -e . in its folder")]
    extras = about.get_all("Provides-Extra") or []
    found = []
    for text in about.get_all("Requires-Dist") or []:
        needed = Requirement(text)
        wanting = [extra for extra in ("", *extras) if _wants(needed, extra)]
        if wanting and needed.name != distribution:
            found.append(_package(needed, distribution, wanting[0]))
    return found


def _wants(needed: Requirement, extra: str) -> bool:
    return needed.marker is None or needed.marker.evaluate({"extra": extra})


def _package(needed: Requirement, distribution: str, extra: str) -> RequirementStatus:
    """Whether a package is here, in a version that will do."""
    whole = f"{distribution}[{extra}]" if extra else f"{needed.name}{needed.specifier}"
    get = f"pip install '{whole}'"
    try:
        version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return RequirementStatus(needed.name, None, get, extra)
    if not needed.specifier.contains(version, prereleases=True):
        return RequirementStatus(needed.name, None, f"{get} (version {version} is here)", extra)
    return RequirementStatus(needed.name, version, "", extra)


def _distributions() -> list[str]:
    """multigan, and what else has installed domains."""
    points = metadata.entry_points(group="multigan.domains")
    others = {point.dist.name for point in points if point.dist is not None}
    return ["multigan", *sorted(others - {"multigan"})]


def _of_domains() -> Iterator[RequirementStatus]:
    """What the domains say of themselves: see REQUIREMENTS in `multigan/core/serialization.py`."""
    for domain in domains():
        for name, place in domain_table(domain, "REQUIREMENTS").items():
            yield _asked(name, partial(_told, place), domain)


def _told(place: str) -> str:
    """What the function at "module:attribute" of an installed table says."""
    return import_attribute(place)()


def _asked(name: str, ask: Callable[[], str], of: str = "") -> RequirementStatus:
    """The state that `ask` says, or the line with which it refuses."""
    try:
        return RequirementStatus(name, ask(), "", of)
    except ImportError as error:
        extra = f"pip install 'multigan[{of}]'" if of else "pip install multigan"
        return RequirementStatus(name, None, f"{extra} ({error})", of)
    except ValueError as error:
        return RequirementStatus(name, None, str(error), of)


def _accelerator() -> str:
    """The GPU that torch sees; ValueError with what to do where there is none."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda}): --device cuda"
    if torch.backends.mps.is_available():
        return "Apple's: --device mps"
    if torch.version.cuda is None:
        raise ValueError(
            "this torch is built without CUDA; if there is a GPU: pip install torch, without "
            "constraints.txt"
        )
    raise ValueError("torch sees none; is its driver installed?")


def _browser() -> str:
    """The Chromium that tests of pages use."""
    found = browser()
    if found is None:
        raise ValueError("apt install chromium (only the tests of pages need it)")
    return found


def browser() -> str | None:
    """The path of a Chromium, which the tests of pages use; None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _sound_of_torch() -> str:
    from multigan.core.optional_dependencies import torchaudio, torchaudio_status

    torchaudio()  # ValueError where it is absent
    return torchaudio_status()


def _language_models() -> str:
    from multigan.core.optional_dependencies import transformers

    found = transformers()
    base = found.PreTrainedModel.__name__  # looked up: only then are its models imported
    return f"transformers {found.__version__}: {base} can be imported"


# What no package's version says: name -> a function that says the state, or raises ValueError.
STATES: dict[str, Callable[[], str]] = {
    "GPU": _accelerator,
    "torchaudio's extension": _sound_of_torch,
    "language models": _language_models,
    "chromium": _browser,
}


def places() -> list[Location]:
    """Where runs, caches, recipes and temporary files are or would be."""
    known = {
        "runs": RUNS,
        "caches": default_cache_dir(),
        "recipes": recipes_folder(),
        "temporary files": Path(tempfile.gettempdir()),
    }
    return [_place(name, path.absolute()) for name, path in known.items()]


def _place(name: str, path: Path) -> Location:
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    return Location(
        name, str(path), path.exists(), nearest.is_dir() and os.access(nearest, os.W_OK)
    )


def testable_domains() -> list[str]:
    """The domains that have a recipe of their name, which a self-test can train."""
    return [name for name in domains() if name in recipe_names()]


def self_test(domain: str) -> SelfTestResult:
    """Train a domain's recipe with its TINY values, sample it, and read the samples back.

    It is saved and measured once, at its end, which keeps it to about SECONDS. Everything is
    written to a temporary folder. Whatever goes wrong is said in the outcome.
    """
    started, worked = perf_counter(), process_time()
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with redirect_stdout(StringIO()):  # a writer may say what it used
                said, passed = _trained_and_read_back(domain, Path(folder)), True
    except Exception as error:  # a self-test is there to say it, whatever it is
        said, passed = " ".join(f"{type(error).__name__}: {error}".split()), False
    return SelfTestResult(domain, passed, said, perf_counter() - started, process_time() - worked)


def _trained_and_read_back(domain: str, folder: Path) -> str:
    from multigan.storage.loading import load
    from multigan.training.launch import train

    where = {"out": str(folder / "run"), "cache_dir": str(folder / "cache")}
    run = train(domain, tiny=True, show=False, report=False, save_every=NEVER, **where)
    sampler = load(run.path)
    samples = sampler.sample(SHOWN, seed=0)
    written = folder / "samples"
    written.mkdir()
    sampler.domain.write(samples, written)
    said = f"{run.step} steps, {len(samples)} samples written"
    read = getattr(sampler.domain, "read_samples", None)
    if read is None:
        return said
    if read(written) != samples:
        raise ValueError("the samples that were read back are not those that were written")
    return f"{said} and read back"


def interpreter() -> str:
    """The Python that runs, and the folder it installs into."""
    return f"{sys.executable} (packages in {sys.prefix})"
