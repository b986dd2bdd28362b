"""Installed requirements, file locations and self-tests for `multigan doctor`."""

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

from multigan.core.available_cpus import available_cpus
from multigan.core.evaluation_size import small_evaluations
from multigan.core.protocols import SupportsReadSamples
from multigan.core.recipe_file import recipe_names, recipes_folder
from multigan.core.serialization import domain_table, domains, import_attribute
from multigan.runs.directory import RUNS
from multigan.storage.files import default_cache_dir

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 20.0  # limit for the self-test of one domain, on an idle machine
NEVER = 1_000_000_000  # steps between checkpoints: a self-test saves and evaluates at its end only
NUM_SAMPLES = 3  # that a self-test writes and reads back


class RequirementStatus(NamedTuple):
    """A requirement and its state."""

    name: str
    found: str | None  # its version or state; None: missing
    get: str = ""  # the command that installs it
    of: str = ""  # the extra or domain that needs it; empty: all


class Location(NamedTuple):
    """A folder that is used or would be created."""

    name: str
    path: str
    exists: bool
    writable: bool


class SelfTestResult(NamedTuple):
    """Result of a domain's self-test, with wall-clock and CPU seconds."""

    domain: str
    passed: bool
    message: str
    seconds: float
    cpu_seconds: float

    @property
    def slow(self) -> bool:
        """True if the test took longer than SECONDS."""
        return self.seconds > SECONDS


def system_info() -> dict[str, Any]:
    """Return versions, cores and threads."""
    import torch

    from multigan.core.version import __version__

    return {
        "multigan": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": available_cpus(),
        "threads": torch.get_num_threads(),
    }


def check_requirements() -> list[RequirementStatus]:
    """Return the state of all required and optional packages and features."""
    installed = [found for name in _distributions() for found in packages(name)]
    states = [_checked(name, ask) for name, ask in STATES.items()]
    return [*installed, *states, *_of_domains()]


def packages(distribution: str) -> list[RequirementStatus]:
    """Return the state of the dependencies of a distribution and of its extras."""
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
    """Return the state of a package; a wrong version counts as missing."""
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
    """Distributions with domains: multigan and its plugins."""
    points = metadata.entry_points(group="multigan.domains")
    others = {point.dist.name for point in points if point.dist is not None}
    return ["multigan", *sorted(others - {"multigan"})]


def _of_domains() -> Iterator[RequirementStatus]:
    """Requirements of the domains: see REQUIREMENTS in `multigan/core/serialization.py`."""
    for domain in domains():
        for name, place in domain_table(domain, "REQUIREMENTS").items():
            yield _checked(name, partial(_call, place), domain)


def _call(place: str) -> str:
    """Call the function at "module:attribute" of an installed table."""
    return import_attribute(place)()


def _checked(name: str, ask: Callable[[], str], of: str = "") -> RequirementStatus:
    """Return the state that `ask` returns, or the message of its error."""
    try:
        return RequirementStatus(name, ask(), "", of)
    except ImportError as error:
        extra = f"pip install 'multigan[{of}]'" if of else "pip install multigan"
        return RequirementStatus(name, None, f"{extra} ({error})", of)
    except ValueError as error:
        return RequirementStatus(name, None, str(error), of)


def _accelerator() -> str:
    """Return the GPU that torch sees. Raises ValueError with the fix if there is none."""
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
    """Return the Chromium of the browser tests. Raises ValueError if there is none."""
    found = browser()
    if found is None:
        raise ValueError("apt install chromium (only the tests of pages need it)")
    return found


def browser() -> str | None:
    """Return the path of a Chromium for the browser tests, or None."""
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


# Features beyond package versions: name -> function that returns the state, or raises.
STATES: dict[str, Callable[[], str]] = {
    "GPU": _accelerator,
    "torchaudio's extension": _sound_of_torch,
    "language models": _language_models,
    "chromium": _browser,
}


def places() -> list[Location]:
    """Return the folders of runs, caches, recipes and temporary files."""
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
    """Return the domains with a recipe of the same name, which a self-test can train."""
    return [name for name in domains() if name in recipe_names()]


def self_test(domain: str) -> SelfTestResult:
    """Train a domain's recipe with its TINY values, sample it, and read the samples back.

    All files are written to a temporary folder. Errors become the message of the result.
    """
    started, worked = perf_counter(), process_time()
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with redirect_stdout(StringIO()):
                message, passed = _train_and_read_back(domain, Path(folder)), True
    except Exception as error:  # any failure is the result of the test
        message, passed = " ".join(f"{type(error).__name__}: {error}".split()), False
    return SelfTestResult(
        domain, passed, message, perf_counter() - started, process_time() - worked
    )


def _train_and_read_back(domain: str, folder: Path) -> str:
    from multigan.core.media import same_samples
    from multigan.storage.loading import load
    from multigan.training.launch import train

    options: dict[str, Any] = {"report": False, "save_every": NEVER}
    options["cache_dir"] = str(folder / "cache")
    with small_evaluations():
        run = train(domain, tiny=True, show=False, out=str(folder / "run"), **options)
    sampler = load(run.path)
    samples = sampler.sample(NUM_SAMPLES, seed=0)
    written = folder / "samples"
    written.mkdir()
    sampler.domain.write(samples, written)
    message = f"{run.step} steps, {len(samples)} samples written"
    if not isinstance(sampler.domain, SupportsReadSamples):
        return message
    if not same_samples(sampler.domain.read_samples(written), samples):
        raise ValueError("the samples that were read back must equal the samples written")
    return f"{message} and read back"


def interpreter() -> str:
    """Return the path of this Python and the folder of its packages."""
    return f"{sys.executable} (packages in {sys.prefix})"
