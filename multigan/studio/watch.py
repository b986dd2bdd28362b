"""The report of a run as a live page, for requests of this page on this machine only."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from threading import Lock
from typing import Any

from multigan.core.protocols import Medium
from multigan.report.html_elements import TEMPLATES
from multigan.report.report import SCRIPTS, STYLES, charts_license, inlined
from multigan.report.run_summary import RunSummary
from multigan.report.sample_media import (
    HISTORY_BYTES,
    REAL_BYTES,
    SampleMedia,
    real_media,
    training_history,
)
from multigan.report.sections import RunView, page_values
from multigan.runs.directory import EVALUATION, RECIPE, RunDirectory
from multigan.studio.access import HEADERS, LOCAL, Access, OriginCheck
from multigan.studio.server import serve_application

OWN = Path(__file__).parent / "static"


def watch(path: str | Path, port: int, access: Access = LOCAL) -> None:
    """Serve the page of a run until Ctrl-C, whether it is being trained or not.

    `port` 0 takes any free one. Raises ValueError, in one line, for a directory that holds no run,
    if the port is taken or the server is not installed.
    """
    RunSummary(RunDirectory(path))
    name = f"watching {path}"
    serve_application(lambda port: application(path, port, access), name, port, access)


def application(path: str | Path, port: int, access: Access = LOCAL) -> Any:
    """The application: it answers requests of its own page at this port only."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    page = LivePage(path)
    script = f"/*! uPlot: {charts_license()} */\n{inlined(SCRIPTS)}\n"
    script += (OWN / "watch.js").read_text()
    assets = {
        "/watch.js": (script, "text/javascript"),
        "/watch.css": (inlined(STYLES), "text/css"),
    }

    async def serve_file(request: Request) -> Response:
        content, kind = assets[request.url.path]
        return Response(content, media_type=kind, headers=HEADERS)

    async def serve_page(request: Request) -> Response:
        try:
            content = await run_in_threadpool(page.html)
        except ValueError as error:  # recipe.json is gone or damaged
            return JSONResponse({"error": str(error)}, status_code=503, headers=HEADERS)
        return Response(content, media_type="text/html", headers=HEADERS)

    async def serve_version(request: Request) -> Response:
        version = await run_in_threadpool(page.version)
        return JSONResponse({"version": version}, headers=HEADERS)

    routes = [Route(name, serve_file, methods=["GET"]) for name in assets]
    routes += [Route("/", serve_page, methods=["GET"])]
    routes += [Route("/version", serve_version, methods=["GET"])]
    return OriginCheck(Starlette(routes=routes), port, access)


class LivePage:
    """The page of a run, made again only when a file of the run has changed.

    It shows the previews that training writes: the generator is not loaded, so that the page takes
    no time from the training, and no code of the run is executed.
    """

    def __init__(self, path: str | Path) -> None:
        self.run = RunDirectory(path)
        self._lock = Lock()
        self._made = ("", "")  # version and HTML
        self._history: tuple[list[Any], dict[int, list[Medium]]] = ([], {})  # files and media

    def version(self) -> str:
        """Return a hash of the size and time of each file that the page shows."""
        run = self.run
        named = [run.path / RECIPE, run.log, run.metrics, run.path / EVALUATION]
        stats = [_stat(file) for file in named] + self._samples()
        return hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:16]

    def _samples(self) -> list[Any]:
        """Return name, size and time of each preview."""
        return [_stat(file) for file in sorted(self.run.samples.glob("step-*"))]

    def html(self) -> str:
        """Return the page. Raises ValueError if the directory no longer holds a run."""
        with self._lock:
            version = self.version()  # before reading: later changes make another one
            if self._made[0] != version:
                self._made = (version, self._render(version))
            return self._made[1]

    def _render(self, version: str) -> str:
        summary = RunSummary(self.run)
        if (files := self._samples()) != self._history[0]:  # encoding images takes long
            self._history = (files, training_history(self.run, HISTORY_BYTES))
        history = self._history[1]
        samples = history[max(history)] if history else []
        view = RunView(
            summary,
            SampleMedia(history, samples, real=real_media(self.run, REAL_BYTES), is_live=True),
        )
        return TEMPLATES.get_template("live.html").render(
            title=f"Watching {summary.name}", version_of_files=version, **page_values([view])
        )


def _stat(file: Path) -> list[Any]:
    """Name, size and time of a file; only the name of a missing one."""
    try:
        found = file.stat()
    except OSError:
        return [file.name]
    return [file.name, found.st_size, found.st_mtime_ns]
