"""The studio's server: one page for one person on this machine, and nobody else."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from multigan.core.protocols import Sampler
from multigan.report.html_builder import element
from multigan.report.report import PAGE as SHARED
from multigan.studio.form import form
from multigan.studio.handlers import RequestHandler

HOST = "127.0.0.1"
OWN = Path(__file__).parent / "static"
SCRIPTS = (SHARED / "sound.js", SHARED / "songs.js", OWN / "studio.js")
STYLES = (SHARED / "page.css", OWN / "studio.css")
MOST_BYTES = 3_000_000  # of a request: a MIDI file and the wishes
FROM_HERE = ("same-origin", "none")  # Sec-Fetch-Site of the page itself, and of a typed address
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; media-src data:; "
    "script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def serve(sampler: Sampler, name: str, port: int, trusted: Path | None = None) -> None:
    """Serve the page until Ctrl-C. `port` 0 takes any free one; `trusted` as in `Maker`.

    Raises ValueError, in one line, where the port is taken or the server is not installed.
    """
    if missing := [package for package in ("starlette", "uvicorn") if find_spec(package) is None]:
        needed = " and ".join(missing)
        raise ValueError(f"the studio needs {needed}: pip install 'multigan[studio]'")
    import uvicorn

    with _listening(port) as here:
        port = here.getsockname()[1]
        settings = uvicorn.Config(
            application(sampler, name, port, trusted), log_level="warning", access_log=False,
            lifespan="off", ws="none", timeout_graceful_shutdown=1, server_header=False,
        )  # fmt: skip
        print(f"{name}: http://{HOST}:{port}/ (Ctrl-C stops it)", flush=True)
        with suppress(KeyboardInterrupt):  # the server has shut down, and hands the signal on
            uvicorn.Server(settings).run(sockets=[here])
    print("stopped")


def _listening(port: int) -> socket.socket:
    """A socket of this machine only."""
    here = socket.socket()
    try:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        here.bind((HOST, port))
        here.listen()
    except (OSError, OverflowError) as error:
        here.close()
        said = f"port {port} cannot be had ({error}); choose another --port, or 0 for any"
        raise ValueError(said) from error
    return here


def application(sampler: Sampler, name: str, port: int, trusted: Path | None = None) -> Any:
    """The application, which answers its own page at this port only."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    maker, page = RequestHandler(sampler, name, trusted), _page(sampler, name)
    contents = {
        "/": (page, "text/html"),
        "/studio.js": ("\n".join(file.read_text() for file in SCRIPTS), "text/javascript"),
        "/studio.css": ("\n".join(file.read_text() for file in STYLES), "text/css"),
    }

    async def show(request: Request) -> Response:
        content, kind = contents[request.url.path]
        return Response(content, media_type=kind, headers=HEADERS)

    async def make(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _refused(413, f"this is more than {MOST_BYTES:,} bytes")
        try:
            answer = await run_in_threadpool(maker.make, json.loads(body))
        except (ValueError, RecursionError) as error:
            return _refused(400, str(error) or "no JSON")
        return JSONResponse(answer, headers=HEADERS)

    routes = [Route(path, show, methods=["GET"]) for path in contents]
    app = Starlette(routes=[*routes, Route("/samples", make, methods=["POST"])])
    return OriginCheck(app, port)


class OriginCheck:
    """Refuses whoever does not come from the page itself.

    Another name for this machine (DNS rebinding) shows in Host; another page in Origin and
    Sec-Fetch-Site, and it cannot send JSON without asking first, which is never granted.
    """

    def __init__(self, app: Any, port: int) -> None:
        self.app = app
        self.hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand the request on, or refuse it with 403 or 415."""
        wrong = self._wrong(scope)
        answer = self.app if wrong is None else _refused(*wrong)
        await answer(scope, receive, send)

    def _wrong(self, scope: Any) -> tuple[int, str] | None:
        """Status and reason of a refusal."""
        from starlette.datastructures import Headers

        headers = Headers(scope=scope)
        origins = {f"http://{host}" for host in self.hosts}
        if headers.getlist("host") not in [[host] for host in self.hosts]:
            return 403, "this is not the name of the studio"
        if headers.get("origin") not in {None, *origins}:
            return 403, "this comes from another page"
        if headers.get("sec-fetch-site") not in {None, *FROM_HERE}:
            return 403, "this comes from another page"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            return 415, "this is not JSON"
        return None


async def _body(request: Any) -> bytes | None:
    """What was sent; None if it is too much, of which no more than the limit is kept."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MOST_BYTES:
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return body


def _refused(status: int, why: str) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": why}, status_code=status, headers=HEADERS)


def _page(sampler: Sampler, name: str) -> str:
    """The page, before its first samples."""
    shown = element("section", element("div", id="shown"), class_="shown")
    said = element("p", "drawing ...", id="said", role="status", class_="quiet")
    command = element("pre", element("code", id="command"))
    title = f"multigan studio: {name}"
    body = element("main", element("h1", title), form(sampler), said, shown, command)
    return Template((OWN / "template.html").read_text()).substitute(
        title=element("title", title), body=body
    )
