"""The data of a run, rebuilt from its description."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from multigan.contract import Data
from multigan.files import parse_json
from multigan.part import rebuild
from multigan.room import demand_room


def data_of(
    description: dict[str, Any], source: str | None = None, trust: ModuleType | None = None
) -> Data:
    """The data of a run; `source` replaces where they come from, and skips the check.

    Raises ValueError where they have changed since the training, or the description is damaged.
    """
    stored = description["recipe"].get("data")
    if not isinstance(stored, dict):
        raise ValueError("recipe.json is damaged: its recipe lacks data")
    demand_room(stored)
    if source is not None:
        return rebuild(moved_data(stored, source), trust)
    data = rebuild(stored, trust)
    if not hasattr(data, "fingerprint"):
        raise ValueError("recipe.json is damaged: its data are no data set")
    if data.fingerprint != description["fingerprint"]:
        raise ValueError(
            f"the data of the run have changed since training ({stored['part']}); "
            "name other data with --data"
        )
    return data


def moved_data(stored: dict[str, Any], source: str) -> dict[str, Any]:
    """The description of a data part, with `source` as where its data come from."""
    if "source" not in stored["arguments"]:
        raise ValueError(f"{stored['part']} has no source that --data could replace")
    return stored | {"arguments": stored["arguments"] | {"source": source}}


def data_of_run(run: Path, source: str | None = None) -> Data:
    """The same of a run directory, for a domain's own verbs; ValueError where it is none."""
    try:
        description = parse_json((run / "recipe.json").read_text())
        whole = isinstance(description["recipe"], dict) and "fingerprint" in description
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{run} is no run directory with a whole recipe.json") from error
    if not whole:
        raise ValueError(f"{run} is no run directory with a whole recipe.json")
    return data_of(description, source)
