"""Generators on the Hugging Face Hub: download of weight files, upload of exported folders.

The network is used only for a name that the user gave: `hf://user/name` or `multigan push`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from multigan.core.optional_dependencies import huggingface_hub

PREFIX = "hf://"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+")
ADDRESS = re.compile(r"hf:/{1,2}(?P<name>[^@]*)(@(?P<revision>.+))?")  # pathlib drops a slash


class HubModel(NamedTuple):
    """A model repository of the Hub: `user/name`, at a branch, tag or commit."""

    name: str
    revision: str | None = None


def parse_address(path: str | Path) -> HubModel | None:
    """The repository of `hf://user/name` or `hf://user/name@revision`; None for another path.

    Raises ValueError for an address whose name is not `user/name`.
    """
    found = ADDRESS.fullmatch(str(path))
    return found and HubModel(check_name(found["name"]), found["revision"])


def check_name(name: str) -> str:
    """`name` itself. Raises ValueError if it is not `user/name`."""
    if NAME.fullmatch(name) is None or ".." in name:
        raise ValueError(f"a model on the Hub must be named user/name; got {name!r}")
    return name


def download(model: HubModel, file: str) -> Path:
    """One file of a repository, from the cache of the Hub's library if it is there already.

    Raises ValueError, in one line, for a repository or file that does not exist or cannot be
    reached.
    """
    with _one_line_errors(f"{PREFIX}{model.name}", huggingface_hub()) as hub:
        return Path(hub.hf_hub_download(model.name, file, revision=model.revision))


def create_repository(name: str, *, private: bool = False) -> None:
    """Create the repository `name` if it does not exist.

    The token is that of the Hub's library: the variable HF_TOKEN, or `hf auth login`.
    Raises ValueError, in one line, for a name that is not `user/name` and for a refused token.
    """
    with _one_line_errors(f"{PREFIX}{check_name(name)}", huggingface_hub()) as hub:
        hub.HfApi().create_repo(name, private=private, exist_ok=True)


def upload(folder: Path, name: str) -> str:
    """Commit the files of `folder` to the repository `name`; the commit's address.

    Raises ValueError, in one line, for a refused upload.
    """
    with _one_line_errors(f"{PREFIX}{name}", huggingface_hub()) as hub:
        commit = hub.HfApi().upload_folder(
            repo_id=name, folder_path=folder, commit_message="Upload a generator of multigan"
        )
        return str(commit.commit_url)


@contextmanager
def _one_line_errors(address: str, hub: ModuleType) -> Iterator[ModuleType]:
    """Turn errors of the Hub's library into ValueErrors of one line.

    Its HTTP errors derive from OSError; a missing file alone does not.
    """
    try:
        yield hub
    except (OSError, ValueError, hub.errors.EntryNotFoundError) as error:
        first = next((line for line in map(str.strip, str(error).splitlines()) if line), "")
        raise ValueError(f"{address}: {first or type(error).__name__}") from error
