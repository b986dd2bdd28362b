"""The run directory: its files, their checksums, and the lock of its only writer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from multigan.core.serialization import caller_objects
from multigan.storage.files import check_format, parse_json, write_atomically

LOCK = ".lock"
FORMAT = 2
RUNS = Path("runs")
REQUIRED = {  # of recipe.json
    "name": str,
    "hyperparameters": dict,
    "flags": dict,
    "seed": int,
    "horizon": int,
    "fingerprint": str,
    "recipe": dict,
}
MAX_LINE_BYTES = 1 << 20  # of a log; longer lines are split, and skipped as broken
RECIPE = "recipe.json"
EVALUATION = "evaluation.json"
REAL_PREVIEW = "real"  # in samples/, without its suffix: held-out samples
MAX_EVALUATION_BYTES = 1 << 22  # a usual one has some tens of thousands
CHECKSUM = "checksum"  # of the rest of recipe.json


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which is created if it is missing.

    The operating system releases the lock when the process ends, so a lock is never stale. The lock
    file names the process for the message. Raises ValueError where another process holds the lock.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LOCK
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = file.read_text(errors="replace").strip() or "unknown"
        raise ValueError(
            f"{folder} is being trained by another process (number {owner}); wait for it, or "
            "choose another --out"
        ) from None
    try:
        file.write_text(f"{os.getpid()}\n")
        yield
    finally:
        with suppress(OSError):  # the folder may be gone
            os.truncate(file, 0)
        lock.release()


def default_out(recipe_name: str) -> Path:
    """Return the first free path of the form `runs/<recipe>-0001`."""
    return numbered_folder(RUNS, Path(recipe_name).stem)


def numbered_folder(parent: Path, name: str) -> Path:
    """Return the first free path of the form `parent/name-0001`."""
    number = 1
    while (parent / f"{name}-{number:04d}").exists():
        number += 1
    return parent / f"{name}-{number:04d}"


class RunDirectory:
    """The files of one run. Nothing is created before `create`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.log = self.path / "log.jsonl"
        self.metrics = self.path / "metrics.jsonl"

    def _contents(self) -> list[Path]:
        """Everything in the directory except its lock and temporary files."""
        if not self.path.exists():
            return []
        unfinished = self._unfinished()
        return [p for p in self.path.iterdir() if p.name != LOCK and p not in unfinished]

    def _unfinished(self) -> list[Path]:
        """Temporary files of writes that were killed."""
        return [*self.path.glob(".*.tmp"), *self.samples.glob(".*.tmp")]

    def require_empty(self, overwrite: bool) -> None:
        """Raise ValueError if no run can be created here."""
        if self.path.exists() and (not self.path.is_dir() or self._contents()):
            if not overwrite:
                raise ValueError(f"{self.path} is not empty; choose another --out, or --overwrite")
            if not (self.path / RECIPE).is_file():
                raise ValueError(f"{self.path} holds no run; --overwrite replaces runs only")

    def create(self, config: Mapping[str, Any], source: Path | None, overwrite: bool) -> None:
        """Create the directory and its recipe.json, and keep a copy of the recipe file `source`.

        `overwrite` empties a directory that holds a run. A kill at any point leaves an empty
        directory or a resumable run: a new recipe.json is written before all other files, and an
        old one is replaced last. Raises ValueError as `require_empty` does.
        """
        self.require_empty(overwrite)
        for old in self._contents():
            if old.name != RECIPE:
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_config(config)
        self.clean_up()
        if source is not None:
            write_atomically(self.path / "recipe.py", source.read_bytes())

    def clean_up(self) -> None:
        """Create missing folders and delete temporary files of killed writes."""
        for folder in (self.checkpoints, self.samples):
            folder.mkdir(exist_ok=True)
        for leftover in self._unfinished():
            leftover.unlink()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write recipe.json with its format and checksum."""
        content = {"format": FORMAT, **config}
        text = json.dumps(content | {CHECKSUM: _checksum(content)}, indent=1, sort_keys=True)
        write_atomically(self.path / RECIPE, text.encode())

    def read_config(self) -> dict[str, Any]:
        """Read recipe.json; a file without a checksum was edited by hand and is accepted.

        Raises ValueError for a directory without a run, and for a damaged file.
        """
        file = self.path / RECIPE
        if not file.is_file():
            raise ValueError(f"{self.path} is no run directory: it has no recipe.json")
        try:
            config = parse_json(file.read_text())
        except ValueError as error:
            raise ValueError(f"{file} is damaged: {error}") from error
        check_format(file, config.get("format") if isinstance(config, dict) else None, FORMAT)
        checksum = config.pop(CHECKSUM, None)
        if checksum is not None and checksum != _checksum(config):
            raise ValueError(
                f"{file} is damaged: its checksum does not match; if you edited the file, delete "
                f"the line {CHECKSUM!r}"
            )
        if missing := REQUIRED.keys() - config.keys():
            raise ValueError(f"{file} is damaged: it lacks {', '.join(sorted(missing))}")
        for name, kind in REQUIRED.items():
            if not isinstance(config[name], kind):
                raise ValueError(f"{file} is damaged: {name} must be of type {kind.__name__}")
        for name, default in (("steps", None), ("likelihood_steps", 0)):
            if not isinstance(config["recipe"].get(name, default), int):
                raise ValueError(f"{file} is damaged: its recipe lacks {name}")
        return config

    def reject_links(self) -> None:
        """Raise ValueError for links and devices in the directory: writes would land elsewhere.

        A link to the directory itself is followed: the user has named it.
        """
        for folder in (self.path, self.checkpoints):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise ValueError(
                        f"{path} must be a file or a folder; got a link or a device, through which "
                        "other files would be overwritten; to use another disk, move the whole run "
                        "there and link to it"
                    )

    def append(self, file: Path, line: Mapping[str, Any]) -> None:
        """Append one JSON line to a log and flush it to the operating system."""
        with file.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def flush(self) -> None:
        """Fsync the logs, so that no checkpoint outlives the lines before it."""
        for file in (self.log, self.metrics):
            if file.exists():
                with file.open("rb+") as stream:
                    os.fsync(stream.fileno())

    def truncate_after(self, step: int) -> None:
        """Delete log lines and (damaged) checkpoints of steps after `step`."""
        for path in self.checkpoints.glob("step-*"):
            if path.name[5:].isdigit() and int(path.name[5:]) > step:
                shutil.rmtree(path)
        for file in (self.log, self.metrics):
            kept = [json.dumps(line) + "\n" for line in read_jsonl(file) if line["step"] <= step]
            if file.exists():
                write_atomically(file, "".join(kept).encode())


def read_jsonl(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines of a log; broken lines, such as of a killed write, are skipped."""
    for text in log_texts(file):
        if (line := parse_log_line(text)) is not None:
            yield line


def log_texts(file: Path) -> Iterator[bytes]:
    """Yield the lines of a log as they are; none of a file that is missing."""
    if not file.exists():
        return
    with file.open("rb") as stream:
        while text := stream.readline(MAX_LINE_BYTES):
            yield text


def parse_log_line(text: bytes) -> dict[str, Any] | None:
    """Parse a line of a log; None for a broken one."""
    try:
        line = parse_json(text)
    except ValueError:
        return None
    is_intact = isinstance(line, dict) and isinstance(line.get("step"), int)
    return line if is_intact else None


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """Return the rows and notes that `multigan evaluate` wrote; None without a readable file."""
    file = folder / EVALUATION
    try:
        if file.stat().st_size > MAX_EVALUATION_BYTES:
            return None
        table = parse_json(file.read_text(errors="replace"))
    except (OSError, ValueError):
        return None
    rows = table.get("rows") if isinstance(table, dict) else None
    values = list(rows.values()) if isinstance(rows, dict) else []
    if not values or not all(isinstance(row, dict) for row in values):
        return None
    return table | {"notes": table["notes"] if isinstance(table.get("notes"), list) else []}


def find_runs(folder: Path = RUNS) -> list[RunDirectory]:
    """Return the run directories directly below `folder`."""
    return [RunDirectory(file.parent) for file in sorted(folder.glob(f"*/{RECIPE}"))]


def run_status(run: RunDirectory) -> dict[str, Any]:
    """Return name, recipe, state, last step and next command, for `multigan list --runs`."""
    try:
        config = run.read_config()
    except ValueError as error:
        nothing = {"recipe": "", "state": "damaged", "step": 0, "steps": 0}
        return {"run": str(run.path), "next": str(error)} | nothing
    names = [path.name[5:] for path in run.checkpoints.glob("step-*")]
    last = max((int(name) for name in names if name.isdigit()), default=0)
    total = config["recipe"]["steps"] + config["recipe"].get("likelihood_steps", 0)
    return {
        "run": str(run.path),
        "recipe": config["name"],
        "state": "finished" if "ended" in config else "unfinished",
        "step": last,
        "steps": total,
        "next": next_command(run, config),
    }


def next_command(run: RunDirectory, config: Mapping[str, Any]) -> str:
    """Return the command that resumes a run, or that samples one that has ended.

    Of a run with objects of the caller it is the call that takes the same objects in Python.
    """
    path, recipe = run.path, config["recipe"]
    if "ended" in config:
        needed, command = recipe.get("generator"), f"multigan sample {path}"
        call = f"load({str(path)!r}, trust=recipe)"
    else:
        needed, command = recipe, f"multigan resume {path}"
        call = f"train(recipe, out={str(path)!r}, resume=True)"
    return f"in Python, with the same objects: {call}" if caller_objects(needed) else command
