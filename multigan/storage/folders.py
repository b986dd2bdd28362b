"""The files below a folder: links to folders are followed, and what is no file is counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from multigan.storage.files import is_hidden

HIDDEN = "hidden, or of the operating system"
BROKEN_LINK = "link to nothing"
LINK_LOOP = "link to a folder that is read already"
SPECIAL = "no regular file"
Ignored = dict[str, list[str]]  # reason -> relative paths


def files_below(root: Path, ignored: Ignored) -> list[str]:
    """Return the sorted relative paths of the files in a folder and below it.

    Links to folders are followed last, each folder once. What is hidden, broken or no regular file
    is added to `ignored`.
    """
    return sorted(visible(_walk(root, ignored), ignored))


def visible(files: Iterator[str] | list[str], ignored: Ignored) -> list[str]:
    """Return the files that are not hidden; add the others to `ignored`."""
    kept = []
    for file in files:
        if is_hidden(file):
            ignored.setdefault(HIDDEN, []).append(file)
        else:
            kept.append(file)
    return kept


def _walk(root: Path, ignored: Ignored) -> Iterator[str]:
    """Yield the files below a folder."""
    seen = {os.path.realpath(root)}
    pending, linked = [root], list[Path]()
    while pending or linked:
        folder = pending.pop() if pending else linked.pop(0)
        if folder.is_symlink() and folder != root:
            real = os.path.realpath(folder)
            if real in seen:
                ignored.setdefault(LINK_LOOP, []).append(folder.relative_to(root).as_posix())
                continue
            seen.add(real)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = Path(entry.path)
            name = path.relative_to(root).as_posix()
            if entry.is_dir():
                if entry.is_symlink():
                    linked.append(path)
                else:
                    seen.add(os.path.realpath(path))
                    pending.append(path)
            elif entry.is_file():
                yield name
            else:
                reason = BROKEN_LINK if entry.is_symlink() else SPECIAL
                ignored.setdefault(reason, []).append(name)
