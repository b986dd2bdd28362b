"""The server of the studio: one page, for requests of this page on this machine only."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from multigan.core.protocols import Sampler
from multigan.report.html_elements import element
from multigan.report.report import PAGE as SHARED
from multigan.studio.form import form
from multigan.studio.handlers import RequestHandler

HOST = "127.0.0.1"
OWN = Path(__file__).parent / "static"
SCRIPTS = (SHARED / "sound.js", SHARED / "songs.js", OWN / "studio.js")
STYLES = (SHARED / "page.css", OWN / "studio.css")
MAX_REQUEST_BYTES = 3_000_000  # a MIDI file and options
SAME_ORIGIN = ("same-origin", "none")  # Sec-Fetch-Site of the page itself, and of a typed address
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
    """Serve the page until Ctrl-C. `port` 0 takes any free one; `trusted` is the recipe file
    that the generator was loaded with.

    Raises ValueError, in one line, if the port is taken or the server is not installed.
    """
    serve_application(lambda port: application(sampler, name, port, trusted), name, port)


def serve_application(application: Callable[[int], Any], name: str, port: int) -> None:
    """Serve `application(port)` on this machine until Ctrl-C; print its address first.

    Raises ValueError as `serve` does.
    """
    if missing := [package for package in ("starlette", "uvicorn") if find_spec(package) is None]:
        needed = " and ".join(missing)
        raise ValueError(f"this page needs {needed}: pip install 'multigan[studio]'")
    import uvicorn

    with open_socket(port) as listener:
        port = listener.getsockname()[1]
        settings = uvicorn.Config(
            application(port), log_level="warning", access_log=False,
            lifespan="off", ws="none", timeout_graceful_shutdown=1, server_header=False,
        )  # fmt: skip
        print(f"{name}: http://{HOST}:{port}/ (Ctrl-C stops it)", flush=True)
        with suppress(KeyboardInterrupt):  # raised again after the shutdown
            uvicorn.Server(settings).run(sockets=[listener])
    print("stopped")


def open_socket(port: int) -> socket.socket:
    """A listening socket of this machine only."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise ValueError(
            f"port {port} must be free ({error}); choose another --port, or 0 for any"
        ) from error
    return listener


def application(sampler: Sampler, name: str, port: int, trusted: Path | None = None) -> Any:
    """The application: it answers requests of its own page at this port only."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    handler, page = RequestHandler(sampler, name, trusted), _page(sampler, name)
    contents = {
        "/": (page, "text/html"),
        "/studio.js": ("\n".join(file.read_text() for file in SCRIPTS), "text/javascript"),
        "/studio.css": ("\n".join(file.read_text() for file in STYLES), "text/css"),
    }

    async def serve_file(request: Request) -> Response:
        content, kind = contents[request.url.path]
        return Response(content, media_type=kind, headers=HEADERS)

    async def serve_samples(request: Request) -> Response:
        try:
            body = await _body(request)
        except ClientDisconnect:  # nobody reads the answer
            return _error(400, "the request must be sent whole")
        if body is None:
            return _error(413, f"the request is larger than {MAX_REQUEST_BYTES:,} bytes")
        try:
            answer = await run_in_threadpool(handler.handle, json.loads(body))
        except (ValueError, RecursionError) as error:
            return _error(400, str(error) or "the request must be JSON")
        return JSONResponse(answer, headers=HEADERS)

    routes = [Route(path, serve_file, methods=["GET"]) for path in contents]
    app = Starlette(routes=[*routes, Route("/samples", serve_samples, methods=["POST"])])
    return OriginCheck(app, port)


class OriginCheck:
    """Middleware that rejects requests from anywhere but the page itself.

    Another name for this machine (DNS rebinding) is visible in Host; another page in Origin and
    Sec-Fetch-Site. It cannot send JSON without a preflight request, which is never granted.
    """

    def __init__(self, app: Any, port: int) -> None:
        self.app = app
        self.hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or reject it with 403 or 415."""
        rejection = self._rejection(scope)
        answer = self.app if rejection is None else _error(*rejection)
        await answer(scope, receive, send)

    def _rejection(self, scope: Any) -> tuple[int, str] | None:
        """Status and reason of a rejection, or None."""
        from starlette.datastructures import Headers

        headers = Headers(scope=scope)
        origins = {f"http://{host}" for host in self.hosts}
        if headers.getlist("host") not in [[host] for host in self.hosts]:
            return 403, "the Host header must name this server"
        if headers.get("origin") not in {None, *origins}:
            return 403, "the request must come from this page"
        if headers.get("sec-fetch-site") not in {None, *SAME_ORIGIN}:
            return 403, "the request must come from this page"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            return 415, "the request must be JSON"
        return None


async def _body(request: Any) -> bytes | None:
    """The body of a request; None beyond the limit, without reading on."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MAX_REQUEST_BYTES:
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_REQUEST_BYTES:
            return None
    return body


def _error(status: int, message: str) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": message}, status_code=status, headers=HEADERS)


def _page(sampler: Sampler, name: str) -> str:
    """The page, before its first samples."""
    samples = element("section", element("div", id="samples"), class_="samples")
    status = element("p", "sampling ...", id="status", role="status", class_="quiet")
    command = element("pre", element("code", id="command"))
    title = f"multigan studio: {name}"
    body = element("main", element("h1", title), form(sampler), status, samples, command)
    return Template((OWN / "template.html").read_text()).substitute(
        title=element("title", title), body=body
    )
