"""The pictures of many files, decoded by several processes; a file that ends one is told."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from multigan.image.formats.decode import FileResult, Size, decode_files_serially

ONE_WORKER = 250  # files: so few are not worth the start of another process
MOST_WORKERS = 16
MOST_CRASHES = 10  # of a share's files in a row, until it is no longer taken for their fault
CRASHED = "the decoder crashed on it"
NOT_A_CRASH = (1, -signal.SIGINT, -signal.SIGTERM)  # Python's own error; an end that was asked for


def decode_files(source: str, files: Sequence[str], size: Size) -> list[tuple[FileResult, bytes]]:
    """Each file's outcome and pixels, in order, from this process or from several.

    Raises OSError if processes cannot decode, or crash on file after file.
    """
    workers = min(_cores(), MOST_WORKERS, math.ceil(len(files) / ONE_WORKER))
    if workers <= 1:
        return list(decode_files_serially(source, list(files), size))
    share = math.ceil(len(files) / workers)
    with tempfile.TemporaryDirectory(prefix="multigan-") as folder:
        running: list[_Worker] = []
        try:
            for k in range(0, len(files), share):
                place = Path(folder, str(k))
                running.append(_Worker(source, list(files[k : k + share]), size, place))
            return [result for worker in running for result in worker.results()]
        finally:
            for worker in running:
                worker.stop()


def _cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A process that decodes some files, and the ones that go on where it ended."""

    def __init__(self, source: str, files: list[str], size: Size, place: Path) -> None:
        self.source, self.files, self.size = source, files, size
        self.pixels, self.outcomes = place.with_suffix(".bytes"), place.with_suffix(".json")
        self.process = self._started(files)

    def _started(self, files: list[str]) -> subprocess.Popen[bytes]:
        """A process that decodes these files; it makes the file of outcomes anew."""
        self.outcomes.unlink(missing_ok=True)
        places = {"pixels": str(self.pixels), "outcomes": str(self.outcomes)}
        task = {"source": str(Path(self.source).absolute()), "files": files, "size": self.size}
        process = subprocess.Popen(
            [sys.executable, "-m", "multigan.image.formats.decode"],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:  # its status tells
            pipe.write(json.dumps(task | places).encode())
        return process

    def results(self) -> list[tuple[FileResult, bytes]]:
        """Wait for the last file; after one that ends the process another goes on with the rest.

        Raises OSError if the process did not begin or ends by itself, or after MOST_CRASHES.
        """
        done: list[tuple[FileResult, bytes]] = []
        crashes = 0  # in a row
        while len(done) < len(self.files):
            status = self.process.wait()
            found = self._finished()
            done += found
            if len(done) == len(self.files):
                break
            if status in NOT_A_CRASH or not self.outcomes.exists():
                raise OSError(f"a process that decodes pictures ended with status {status}")
            file = self.files[len(done)]
            crashes = 1 if found else crashes + 1
            if crashes == MOST_CRASHES:
                told = f"the decoder crashed on {crashes} files in a row, the last of them {file}"
                raise OSError(f"{self.source}: {told} (status {status}); is memory short?")
            done.append((FileResult(file, CRASHED, f"{file}: {CRASHED} (status {status})"), b""))
            if rest := self.files[len(done) :]:
                self.process = self._started(rest)
        return done

    def _finished(self) -> list[tuple[FileResult, bytes]]:
        """What the process has written of whole files."""
        if not self.outcomes.exists():
            return []
        *lines, _ = self.outcomes.read_text(encoding="utf-8").split("\n")  # the last may be cut
        outcomes = [FileResult(**json.loads(line)) for line in lines]
        area = self.size.height * self.size.width
        with self.pixels.open("rb") as pixels:
            return [(outcome, pixels.read(outcome.channels * area)) for outcome in outcomes]

    def stop(self) -> None:
        """End the process, if it runs still."""
        self.process.kill()
        self.process.wait()
