"""Settings of `multigan train` from a file, or from a run that is to be repeated."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multigan.core.recipe_file import recipe_names, suggest
from multigan.core.signature import Option
from multigan.runs.directory import RECIPE, RunDirectory
from multigan.runs.provenance import changed_options

READERS = (".yaml", ".yml", ".toml")  # suffixes of files of settings
MAX_BYTES = 1_000_000


def is_run(name: str) -> bool:
    """Return True for the directory of a run."""
    return (Path(name) / RECIPE).is_file()


def settings_of_run(path: str) -> tuple[str, dict[str, Any]]:
    """Return the recipe of a run, and the options that differ from its defaults, seed included.

    Raises ValueError for a run whose recipe is not part of multigan: a run is data, and must not
    choose what is executed.
    """
    config = RunDirectory(path).read_config()
    name = config["name"]
    if name not in recipe_names():
        raise ValueError(
            f"the recipe of {path} must be one of multigan to be repeated by name; got {name!r}: "
            "train its file, or its objects in Python"
        )
    return name, changed_options(config)


def read_settings(path: Path, options: Sequence[Option]) -> dict[str, Any]:
    """Read a YAML or TOML file of options: `steps: 500`, a line for each.

    A dash in a name is the same as an underscore. A number is text where the option is text.
    Raises ValueError for another suffix, a file that is not a flat table, and unknown options.
    """
    if path.suffix.lower() not in READERS:
        raise ValueError(f"config must be a file {', '.join(READERS)}; got {path}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"config must have at most {MAX_BYTES:,} bytes; got {path}")
    values = _parsed(path)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError(f"config must be a table of options and values; got {path}")
    known = {option.name: option for option in options}
    found = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ValueError(f"{path} has an unknown option {key!r}; {suggest(name, known)}")
        if isinstance(value, list | dict):
            raise ValueError(f"{key} of {path} must be a single value; got {value!r}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        found[name] = str(value) if is_number and known[name].type is str else value
    return found


def _parsed(path: Path) -> Any:
    """Parse a file by its suffix. Raises ValueError, in one line, for a damaged one."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            return _toml(text)
        import yaml

        return yaml.safe_load(text) or {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    except Exception as error:  # yaml's errors share no base class with ValueError
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def _toml(text: str) -> Mapping[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
