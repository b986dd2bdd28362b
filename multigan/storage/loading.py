"""Load samplers from runs and weight files, and the datasets of runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import torch

from multigan.core.adapters import training_split
from multigan.core.argument_types import fits
from multigan.core.modules import copy_module
from multigan.core.number_limits import check_numbers
from multigan.core.protocols import Dataset, Domain, Sampler, SupportsOptionChoices
from multigan.core.recipe import Recipe
from multigan.core.refinement import MAX_CANDIDATES, RefinedGenerator
from multigan.core.serialization import from_config
from multigan.core.signature import options_of
from multigan.storage import pretrained
from multigan.storage.checkpoint_integrity import resolve_weights_file
from multigan.storage.files import parse_json
from multigan.storage.memory_limits import check_model_memory, memory_budget
from multigan.storage.refiners import load_refiner
from multigan.storage.weights import SAMPLING, load_state, read_weights

MAX_NAMES = 12  # of classes, in an error
MAX_CHOICE_CHARACTERS = 255  # of the name of a class: as long as a file name
# What else a run is rebuilt from: the executed recipe file with its classes and functions, or the
# recipe with the objects that it was trained with.
Trusted = Any  # ModuleType | Recipe | LoadableRun


@runtime_checkable
class LoadableRun(Protocol):
    """A run of this process: its directory, and the recipe with its objects."""

    path: Path
    recipe: Recipe | None


def trusted(trust: Trusted | None) -> ModuleType | Recipe | None:
    """Return an executed recipe file or a recipe; that of a run for a `Run`."""
    found: ModuleType | Recipe | None = trust.recipe if isinstance(trust, LoadableRun) else trust
    return found


def load_data(
    description: dict[str, Any], source: str | None = None, trust: Trusted | None = None
) -> Dataset:
    """The dataset of a run; with `source` of another place, without the check.

    Raises ValueError if the data have changed since the training, or the description is damaged.
    """
    trust = trusted(trust)
    if isinstance(trust, Recipe) and source is None:
        check_fingerprint(trust.data, description, "the data of the recipe")
        own: Dataset = trust.data
        return own
    stored = description["recipe"].get("data")
    if not isinstance(stored, dict):
        raise ValueError("recipe.json is damaged: its recipe must have data")
    check_model_memory(stored)
    data = from_config(stored if source is None else with_source(stored, source), _module_of(trust))
    if not isinstance(data, Dataset):
        raise ValueError("recipe.json is damaged: its data must be a dataset")
    data = training_split(data)
    if source is None:
        check_fingerprint(data, description, stored["component"])
    return data


def check_fingerprint(data: Dataset, description: dict[str, Any], name: str) -> None:
    """Raise ValueError if a dataset is not the one of a run; `name` is of the dataset."""
    if data.fingerprint != description["fingerprint"]:
        raise ValueError(
            f"the data of the run must be as in training; {name} has changed: "
            "pass other data with --data"
        )


def _module_of(trust: Trusted | None) -> ModuleType | None:
    return None if isinstance(trust, Recipe) else trust


def with_source(stored: dict[str, Any], source: str) -> dict[str, Any]:
    """The description of a dataset with another `source` of its data."""
    if "source" not in stored["arguments"]:
        raise ValueError(f"{stored['component']} has no source that --data could replace")
    return stored | {"arguments": stored["arguments"] | {"source": source}}


@runtime_checkable
class SupportsDomain(Protocol):
    """A dataset that can be read as samples of a trained generator's domain."""

    def with_domain(self, domain: Domain) -> Dataset:
        """The same data in another domain of this kind, such as one of another tokenizer.

        Raises ValueError for one that does not fit.
        """
        ...


def in_domain(data: Dataset, domain: Domain) -> Dataset:
    """The data as samples of the domain of a trained generator, such as by its own tokenizer.

    Raises ValueError for data that do not fit it.
    """
    if data.domain != domain and isinstance(data, SupportsDomain):
        return data.with_domain(domain)
    found, needed = (_classes_of(each) for each in (data.domain, domain))
    if needed and found != needed:
        raise ValueError(
            f"the data must have the classes {_shortened(needed)}, those of the generator; got "
            f"{_shortened(found) or 'none'}"
        )
    return data


def _classes_of(domain: Domain) -> tuple[str, ...]:
    """The names that `label` may have; empty without classes."""
    if not isinstance(domain, SupportsOptionChoices):
        return ()
    return tuple(domain.option_choices().get("label", ()))


def _shortened(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")


def load_run_data(run: Path, source: str | None = None) -> Dataset:
    """The dataset of a run directory, as `load_data`. Raises ValueError if it is not one."""
    description: dict[str, Any] = {}
    try:
        description = parse_json((run / "recipe.json").read_text())
        is_intact = isinstance(description["recipe"], dict) and "fingerprint" in description
    except (OSError, ValueError, LookupError, TypeError):
        is_intact = False
    if not is_intact:
        raise ValueError(f"{run} must be a run directory with an intact recipe.json")
    return load_data(description, source)


def load(
    path: str | Path | LoadableRun,
    domain: str | None = None,
    trust: Trusted | None = None,
    device: str | torch.device = "cpu",
    refine: bool = False,
    candidates: int = MAX_CANDIDATES,
) -> Sampler:
    """The generator of a run (its best, else its newest), of one weight file, or of a name.

    `path` is a run directory, a weight file, the name of a pretrained generator or a `Run`.
    `domain` is the required domain. `trust` is the executed recipe file that defines components
    named `recipe/ClassName`, or the recipe with the objects of a run named `caller/ClassName`, or
    the `Run` that holds it.
    The options that belong to a pretrained generator, or that an exported weight file carries, are
    the sampler's defaults.
    With `refine` each sample is one of at most `candidates` candidates, chosen by the refiner that
    `multigan refine` fitted.
    Raises ValueError, in one line, for a missing or damaged file, a file of another program or
    another domain.
    """
    if isinstance(path, LoadableRun):
        trust = path.recipe if trust is None else trust
        path = path.path
    if not isinstance(path, str | Path):
        raise ValueError(
            "path must be a run directory, a weight file, a name or a Run; got a "
            f"{type(path).__name__}"
        )
    trust = trusted(trust)
    file = resolve_weights_file(Path(path))
    description, tensors = read_weights(file)
    found = description["domain"]["component"].partition("/")[0]
    if domain is not None and found != domain:
        raise ValueError(f"{path} must hold a generator of the domain {domain!r}; got {found!r}")
    if isinstance(trust, Recipe):
        generator, decoder = _copied(trust), trust.data.domain
    else:
        stored = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        generator, decoder = _rebuilt(description, file, memory_budget(stored), trust)
    load_state(generator, tensors, file)
    generator.to(device).eval().requires_grad_(False)
    if refine:
        module = None if isinstance(trust, Recipe) else trust
        refiner, card = load_refiner(Path(path), module, device)
        generator = RefinedGenerator(generator, refiner, card, candidates)
    defaults = pretrained.sampling_defaults(file) or stored_defaults(description, decoder, file)
    return Sampler(decoder, generator, defaults)  # type: ignore[arg-type]


def stored_defaults(description: dict[str, Any], domain: Domain, source: Path) -> dict[str, Any]:
    """The sampling options that a weight file carries; see `weights.SAMPLING`.

    Raises ValueError unless they are options of the domain with numbers, or values that the domain
    names: anyone may have written the file, and another word may name a file of the user.
    """
    if SAMPLING not in description:
        return {}
    stored = description[SAMPLING]
    known = {o.name: o.type for o in options_of(domain.sample)}
    named = domain.option_choices() if isinstance(domain, SupportsOptionChoices) else {}
    for name, value in stored.items() if isinstance(stored, dict) else [("", stored)]:
        is_number = known.get(name) in (int, float, bool) and fits(value, known[name])
        if not is_number and value not in named.get(name, ()):
            raise ValueError(f"{source} is damaged: its sampling options cannot be {stored!r}")
    check_numbers(stored, is_ours=False)
    return dict(stored)


def _copied(recipe: Recipe) -> torch.nn.Module:
    """Copy the generator of a recipe, whose networks may be those that are trained."""
    found: torch.nn.Module = copy_module(recipe.generator)
    return found


def _rebuilt(
    description: dict[str, Any], file: Path, budget: int, trust: ModuleType | None
) -> tuple[torch.nn.Module, Domain]:
    """Build generator and domain from the description of a weight file."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The initial weights are overwritten at once, and sizes of 0 do not fit the tensors.
        warnings.filterwarnings("ignore", "Initializing zero-element")
        if file.parent != pretrained.pretrained_dir():  # packaged files are trusted
            described = [description["domain"], description.get("generator")]
            check_described_numbers(described)
            check_model_memory(described, budget)
        generator = from_config(description.get("generator"), trust)
    decoder = from_config(description["domain"], trust)
    if not isinstance(generator, torch.nn.Module):
        raise ValueError(f"{file} must describe a generator; got a {type(generator).__name__}")
    if not isinstance(decoder, Domain):
        raise ValueError(f"{file} must describe a domain; got a {type(decoder).__name__}")
    check_choices(decoder, generator, file)
    return generator, decoder


def check_described_numbers(description: Any) -> None:
    """Check the numbers of all components in a description by their names.

    Raises ValueError for one that no recipe takes, such as a length of 0.
    """
    if isinstance(description, list):
        for item in description:
            check_described_numbers(item)
    elif isinstance(description, dict):
        if "component" in description and isinstance(description.get("arguments"), dict):
            check_numbers(description["arguments"], is_ours=False)
        check_described_numbers(list(description.values()))


def check_choices(domain: Domain, generator: torch.nn.Module, source: Path) -> None:
    """Check the values of the sampling options that a weight file lists, such as its classes.

    Raises ValueError unless they are different strings of at most MAX_CHOICE_CHARACTERS, as many as
    the table of the generator that has the name of the option has rows.
    """
    if not isinstance(domain, SupportsOptionChoices):
        return
    for option, choices in domain.option_choices().items():
        is_list = isinstance(choices, list | tuple) and all(isinstance(c, str) for c in choices)
        if not is_list or len(set(choices)) < len(choices):
            raise ValueError(f"{source} is damaged: its {option} must be a list of different names")
        if too_long := [name for name in choices if len(name) > MAX_CHOICE_CHARACTERS]:
            raise ValueError(
                f"{source}: a {option} must have at most {MAX_CHOICE_CHARACTERS} characters; "
                f"got {len(too_long[0])}"
            )
        for name, table in generator.named_modules():
            if name.rpartition(".")[2] != option or not isinstance(table, torch.nn.Embedding):
                continue
            if (rows := table.num_embeddings) != len(choices):
                raise ValueError(
                    f"{source} is damaged: {option} must have {rows} names; got {len(choices)}"
                )
