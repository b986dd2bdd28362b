"""Parallel image decoding. A file that crashes a worker is reported and skipped."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from multigan.core.available_cpus import available_cpus
from multigan.core.progress import tracked
from multigan.image.formats.decode import DEFAULT, FileResult, Size, decode_files
from multigan.image.formats.values import ReadOptions

FILES_PER_WORKER = 250  # at least: fewer do not pay for the start of a process
MAX_WORKERS = 16
MAX_SPOOL_BYTES = 1 << 29  # of decoded color images in temporary files at a time
MAX_CONSECUTIVE_CRASHES = 10  # more are not the fault of the files
POLL_S = 0.1  # between two looks at the finished files
READ = "files read"
CRASHED = "the decoder crashed on it"
NOT_A_CRASH = (1, -signal.SIGINT, -signal.SIGTERM)  # an error of Python; a requested end


def decode_files_parallel(
    source: str, files: Sequence[str], size: Size, options: ReadOptions = DEFAULT
) -> Iterator[tuple[FileResult, bytes]]:
    """Decode files to results and pixels, in order, in this process or in several.

    Many files are decoded in parts, so that neither memory nor temporary files hold all of them.
    Raises OSError if the processes fail, or crash on consecutive files.
    """
    workers = min(available_cpus(), MAX_WORKERS, math.ceil(len(files) / FILES_PER_WORKER))
    if workers <= 1:
        yield from tracked(decode_files(source, list(files), size, options), len(files), READ)
        return
    part = max(workers * FILES_PER_WORKER, MAX_SPOOL_BYTES // (3 * size.height * size.width))
    count = math.ceil(len(files) / part)
    for number in range(count):
        what = READ if count == 1 else f"{READ} in part {number + 1} of {count}"
        some = files[number * part : (number + 1) * part]
        yield from _decode_part(source, some, size, options, workers, what)


def _decode_part(
    source: str, files: Sequence[str], size: Size, options: ReadOptions, workers: int, what: str
) -> Iterator[tuple[FileResult, bytes]]:
    """Decode some files, in `workers` processes; progress counts `what`."""
    per_worker = math.ceil(len(files) / workers)
    with tempfile.TemporaryDirectory(prefix="multigan-") as folder:
        running: list[_Worker] = []
        try:
            for k in range(0, len(files), per_worker):
                place = Path(folder, str(k))
                part = list(files[k : k + per_worker])
                running.append(_Worker(source, part, size, place, options))
            for _ in tracked(_finished_files(running), len(files), what):
                pass
            for worker in running:
                yield from worker.results()
        finally:
            for worker in running:
                worker.stop()


def _finished_files(workers: Sequence[_Worker]) -> Iterator[int]:
    """Yield a number for each file as it is decoded, until every process ends or crashes."""
    count = 0
    while any(worker.process.poll() is None for worker in workers):
        time.sleep(POLL_S)
        before, count = count, sum(worker.count_finished() for worker in workers)
        yield from range(before, count)


class _Worker:
    """A process that decodes some files, and its replacements after crashes."""

    def __init__(
        self, source: str, files: list[str], size: Size, place: Path, options: ReadOptions
    ) -> None:
        self.source, self.files, self.size, self.options = source, files, size, options
        self.pixels_file, self.results_file = (
            place.with_suffix(".bytes"),
            place.with_suffix(".json"),
        )
        self.process = self._start(files)
        self._counted_bytes = self._counted = 0

    def count_finished(self) -> int:
        """Return the number of results in the file so far; after a crash those before it, too."""
        with suppress(OSError), self.results_file.open("rb") as file:
            file.seek(self._counted_bytes)
            content = file.read()
            self._counted_bytes += len(content)
            self._counted += content.count(b"\n")
        return self._counted

    def _start(self, files: list[str]) -> subprocess.Popen[bytes]:
        """Start a process that decodes these files and creates the file of results."""
        self.results_file.unlink(missing_ok=True)
        outputs = {"pixels": str(self.pixels_file), "results": str(self.results_file)}
        task: dict[str, Any] = {
            "source": str(Path(self.source).absolute()),
            "files": files,
            "size": self.size,
        }
        task["options"] = asdict(self.options)
        process = subprocess.Popen(
            [sys.executable, "-m", "multigan.image.formats.decode"],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:  # the exit status is checked later
            pipe.write(json.dumps(task | outputs).encode())
        return process

    def results(self) -> Iterator[tuple[FileResult, bytes]]:
        """Wait for the last file; after a crash another process continues with the rest.

        Raises OSError if the process fails without a crash, or after MAX_CONSECUTIVE_CRASHES.
        """
        done = crashes = 0  # crashes in a row
        while done < len(self.files):
            status = self.process.wait()
            before = done
            for finished in self._read_finished():
                done += 1
                yield finished
            if done == len(self.files):
                break
            if status in NOT_A_CRASH or not self.results_file.exists():
                raise OSError(f"a decoding process ended with status {status}")
            file = self.files[done]
            crashes = 1 if done > before else crashes + 1
            if crashes == MAX_CONSECUTIVE_CRASHES:
                text = f"the decoder crashed on {crashes} consecutive files, the last is {file}"
                raise OSError(f"{self.source}: {text} (status {status}); free some memory")
            done += 1
            yield FileResult(file, CRASHED, f"{file}: {CRASHED} (status {status})"), b""
            if rest := self.files[done:]:
                self.process = self._start(rest)

    def _read_finished(self) -> Iterator[tuple[FileResult, bytes]]:
        """Read the results and pixels of the finished files, one after the other."""
        if not self.results_file.exists():
            return
        area = self.size.height * self.size.width
        with self.pixels_file.open("rb") as pixels, self.results_file.open("rb") as results:
            for line in results:
                if line.endswith(b"\n"):  # else the last one is not whole
                    result = FileResult.from_json(json.loads(line))
                    yield result, pixels.read(result.images * result.channels * area)

    def stop(self) -> None:
        """Kill the process if it is running."""
        self.process.kill()
        self.process.wait()
