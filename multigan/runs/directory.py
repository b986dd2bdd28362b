"""The run directory: its files, their checksums, and the lock that one writer holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from typing import Any
from multigan.storage.files import parse_json, write_atomically



LOCK = ".lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """A block in which no other process can lock `folder`, which is made if need be.

    The lock is the operating system's, on a file that names the process: it ends with the process,
    however that dies, so none is ever stale. Raises ValueError, in one line, where another process
    has it. Where there are no such locks (Windows) nothing is locked.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW  # a link's target is not ours
    with os.fdopen(os.open(folder / LOCK, flags, 0o666), "a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ValueError(
                f"{folder} is being trained by another process (number {owner}); wait for it, or "
                "choose another --out"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


FORMAT = 2
RUNS = Path("runs")
REQUIRED = {  # of recipe.json
    "name": str,
    "knobs": dict,
    "flags": dict,
    "seed": int,
    "horizon": int,
    "fingerprint": str,
    "recipe": dict,
}
LONGEST_LINE = 1 << 20  # bytes of a log; what is longer is none of ours
RECIPE = "recipe.json"
EVALUATION = "evaluation.json"
LARGEST_EVALUATION = 1 << 22  # bytes; ours have some tens of thousands
CHECKSUM = "checksum"  # of the rest of recipe.json


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def default_out(recipe_name: str) -> Path:
    """The first free `runs/<recipe>-0001`."""
    stem = Path(recipe_name).stem
    number = 1
    while (RUNS / f"{stem}-{number:04d}").exists():
        number += 1
    return RUNS / f"{stem}-{number:04d}"


class RunDirectory:
    """The files of one run. Nothing is created before `create`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.log = self.path / "log.jsonl"
        self.metrics = self.path / "metrics.jsonl"

    def _contents(self) -> list[Path]:
        """What lies in the directory, its lock and what a killed write left of a file left out."""
        if not self.path.exists():
            return []
        unfinished = self._unfinished()
        return [p for p in self.path.iterdir() if p.name != LOCK and p not in unfinished]

    def _unfinished(self) -> list[Path]:
        """The temporary files that a killed write left."""
        return [*self.path.glob(".*.tmp"), *self.samples.glob(".*.tmp")]

    def demand_free(self, force: bool) -> None:
        """Raise ValueError if no run can be made here."""
        if self.path.exists() and (not self.path.is_dir() or self._contents()):
            if not force:
                raise ValueError(f"{self.path} is not empty; choose another --out, or --force")
            if not (self.path / RECIPE).is_file():
                raise ValueError(f"{self.path} holds no run; --force replaces runs only")

    def create(self, description: Mapping[str, Any], source: Path | None, force: bool) -> None:
        """Make the directory and its recipe.json; `source` is the recipe file, kept for eyes.

        Raises ValueError for a directory that is not empty, unless `force`, which empties one that
        holds a run and refuses any other. Killed anywhere in here it leaves a directory that is
        free, or a run that can be resumed: recipe.json comes first, and an old one goes last.
        """
        self.demand_free(force)
        for old in self._contents():
            if old.name != RECIPE:
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        self.path.mkdir(parents=True, exist_ok=True)
        self.describe(description)
        self.tidy()
        if source is not None:
            write_atomically(self.path / "recipe.py", source.read_bytes())

    def tidy(self) -> None:
        """Make the folders that are missing, and clear away what a killed write left."""
        for folder in (self.checkpoints, self.samples):
            folder.mkdir(exist_ok=True)
        for leftover in self._unfinished():
            leftover.unlink()

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write recipe.json."""
        content = {"format": FORMAT, **description}
        text = json.dumps(content | {CHECKSUM: _checksum(content)}, indent=1, sort_keys=True)
        write_atomically(self.path / RECIPE, text.encode())

    def description(self) -> dict[str, Any]:
        """Read recipe.json; ValueError for a directory that is no run, or is damaged.

        A file without a checksum was edited by hand, and is believed.
        """
        file = self.path / RECIPE
        if not file.is_file():
            raise ValueError(f"{self.path} is no run directory: it has no recipe.json")
        try:
            description = parse_json(file.read_text())
        except ValueError as error:
            raise ValueError(f"{file} is damaged: {error}") from error
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ValueError(f"{file} has another format; this version reads format {FORMAT}")
        checksum = description.pop(CHECKSUM, None)
        if checksum is not None and checksum != _checksum(description):
            raise ValueError(
                f"{file} is damaged: its checksum is another one; if you have edited it, take the "
                f"line {CHECKSUM} out"
            )
        if missing := REQUIRED.keys() - description.keys():
            raise ValueError(f"{file} is damaged: it lacks {', '.join(sorted(missing))}")
        for name, kind in REQUIRED.items():
            if not isinstance(description[name], kind):
                raise ValueError(f"{file} is damaged: its {name} is no {kind.__name__}")
        for name, least in (("steps", None), ("likelihood_steps", 0)):
            if not isinstance(description["recipe"].get(name, least), int):
                raise ValueError(f"{file} is damaged: its recipe lacks {name}")
        return description

    def demand_own_files(self) -> None:
        """Raise ValueError for links and devices: what is written through them lands elsewhere.

        A link to the directory itself is the user's, who has named it, and is followed.
        """
        for folder in (self.path, self.checkpoints):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise ValueError(
                        f"{path} is a link or a device, through which others would be written; "
                        "put what it points to in its place (for room on another disk: move the "
                        "whole run there and link to that)"
                    )

    def append(self, file: Path, line: Mapping[str, Any]) -> None:
        """Append one JSON line and hand it to the operating system."""
        with file.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def flush(self) -> None:
        """Make the logs durable, so that no checkpoint outlives the lines before it."""
        for file in (self.log, self.metrics):
            if file.exists():
                with file.open("rb+") as stream:
                    os.fsync(stream.fileno())

    def cut_back(self, step: int) -> None:
        """Forget later steps than `step`: lines of the logs, and checkpoints (damaged ones)."""
        for path in self.checkpoints.glob("step-*"):
            if path.name[5:].isdigit() and int(path.name[5:]) > step:
                shutil.rmtree(path)
        for file in (self.log, self.metrics):
            kept = [json.dumps(line) + "\n" for line in read_jsonl(file) if line["step"] <= step]
            if file.exists():
                write_atomically(file, "".join(kept).encode())


def read_jsonl(file: Path) -> Iterator[dict[str, Any]]:
    """The whole JSON lines of a file; broken ones (a write that was cut short) are left out."""
    if not file.exists():
        return
    with file.open("rb") as stream:
        while text := stream.readline(LONGEST_LINE):
            try:
                line = parse_json(text)
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                yield line


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """What `multigan evaluate` last wrote: rows of figures, notes; None without a readable one."""
    file = folder / EVALUATION
    try:
        if file.stat().st_size > LARGEST_EVALUATION:
            return None
        table = parse_json(file.read_text(errors="replace"))
    except (OSError, ValueError):
        return None
    rows = table.get("rows") if isinstance(table, dict) else None
    measured = list(rows.values()) if isinstance(rows, dict) else []
    if not measured or not all(isinstance(row, dict) for row in measured):
        return None
    return table | {"notes": table["notes"] if isinstance(table.get("notes"), list) else []}


def find_runs(folder: Path = RUNS) -> list[RunDirectory]:
    """The run directories directly below `folder`."""
    return [RunDirectory(file.parent) for file in sorted(folder.glob(f"*/{RECIPE}"))]


def run_status(run: RunDirectory) -> dict[str, Any]:
    """Name, recipe, state, last step and what to do next, for `multigan list --runs`."""
    try:
        description = run.description()
    except ValueError as error:
        nothing = {"recipe": "", "state": "damaged", "step": 0, "steps": 0}
        return {"run": str(run.path), "next": str(error)} | nothing
    names = [path.name[5:] for path in run.checkpoints.glob("step-*")]
    last = max((int(name) for name in names if name.isdigit()), default=0)
    total = description["recipe"]["steps"] + description["recipe"].get("likelihood_steps", 0)
    finished = "ended" in description
    return {
        "run": str(run.path),
        "recipe": description["name"],
        "state": "finished" if finished else "unfinished",
        "step": last,
        "steps": total,
        "next": f"multigan {'sample' if finished else 'resume'} {run.path}",
    }
