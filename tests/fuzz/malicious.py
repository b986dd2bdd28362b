"""`make crafted`: what files achieve that were made to run code, or to write elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multigan.cli import app
from tests.fuzz.malicious_files import CASES, EXECUTED, Box
from tests.run_helpers import snapshot, train_tiny


@dataclass(frozen=True)
class Effect:
    """What a crafted file achieved."""

    executed: bool
    written_outside: tuple[str, ...]
    escaped: tuple[str, ...] = ()  # errors that were no one-liners of ours


def effect_of(name: str, good_run: Path, root: Path) -> Effect:
    """Run every command that opens the crafted file, in a box; what came of it."""
    box = Box(root)
    for folder in (box.inside, box.outside):
        folder.mkdir(parents=True)
    (box.outside / "victim.txt").write_text("years of work\n")
    shutil.copytree(good_run, box.run)
    commands = CASES[name](box)
    before = _beyond(box)
    escaped = []
    with working_in(box.inside), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for command in commands:
            escaped += [line for line in _errors(command) if "internal error" in line]
        executed = any(box.root.rglob(EXECUTED))
    after = _beyond(box)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return Effect(executed, tuple(sorted(changed)), tuple(escaped))


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """A block with another working folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _errors(command: list[str]) -> list[str]:
    """What a command says on stderr."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        app.main(command)
    return said.getvalue().splitlines()


def _beyond(box: Box) -> dict[str, bytes]:
    """Everything but what the commands may write: the run, the folder `out` and the cache."""
    allowed = ("inside/run/", "inside/out/", "cache/")
    return {n: data for n, data in snapshot(box.root).items() if not n.startswith(allowed)}


def main(wanted: str = "") -> int:
    """Try every crafted file whose name begins so; print what they achieved; 1 if it is a thing."""
    names = [name for name in CASES if name.startswith(wanted)]
    with tempfile.TemporaryDirectory(prefix="multigan-crafted-") as root:
        os.environ["XDG_CACHE_HOME"] = str(Path(root, "cache"))
        run = train_tiny("points", Path(root, "good")).path
        effects = {name: effect_of(name, run, Path(root, str(k))) for k, name in enumerate(names)}
    for name, effect in effects.items():
        if effect.executed or effect.written_outside or effect.escaped:
            print(f"{name}: {effect}")
    executed = sum(effect.executed for effect in effects.values())
    outside = sum(len(effect.written_outside) for effect in effects.values())
    print(f"crafted files {len(names)}, code executed {executed}, files written outside {outside}")
    return int(any(e.executed or e.written_outside or e.escaped for e in effects.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
