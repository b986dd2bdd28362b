"""The server of the studio: one page for each run, for requests of these pages only."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from markupsafe import Markup

from multigan.report.html_elements import element, joined
from multigan.report.report import PAGE as SHARED
from multigan.studio.access import HEADERS, LOCAL, Access, OriginCheck, error_response
from multigan.studio.form import form, task_choice
from multigan.studio.handlers import RequestHandler

OWN = Path(__file__).parent / "static"
SHARED_SCRIPTS = ("sound.js", "midi.js", "viewer.js", "songs.js")
SCRIPTS = (*(SHARED / name for name in SHARED_SCRIPTS), OWN / "kept.js", OWN / "studio.js")
STYLES = (SHARED / "page.css", OWN / "studio.css")
MAX_REQUEST_BYTES = 12_000_000  # an image or a MIDI file, as base64, and options


def serve(handlers: Sequence[RequestHandler], port: int, access: Access = LOCAL) -> None:
    """Serve a page for each generator until Ctrl-C. `port` 0 takes any free one.

    Raises ValueError, in one line, if the port is taken or the server is not installed.
    """
    name = ", ".join(handler.name for handler in handlers)
    serve_application(lambda port: application(handlers, port, access), name, port, access)


def serve_application(
    application: Callable[[int], Any], name: str, port: int, access: Access = LOCAL
) -> None:
    """Serve `application(port)` until Ctrl-C; print its address first.

    Raises ValueError as `serve` does.
    """
    if missing := [package for package in ("starlette", "uvicorn") if find_spec(package) is None]:
        needed = " and ".join(missing)
        raise ValueError(f"this page needs {needed}: pip install 'multigan[studio]'")
    import uvicorn

    with open_socket(port, access.host) as listener:
        port = listener.getsockname()[1]
        settings = uvicorn.Config(
            application(port), log_level="warning", access_log=False,
            lifespan="off", ws="none", timeout_graceful_shutdown=1, server_header=False,
        )  # fmt: skip
        print(f"{name}: {access.address(port)} (Ctrl-C stops it)", flush=True)
        with suppress(KeyboardInterrupt):  # raised again after the shutdown
            uvicorn.Server(settings).run(sockets=[listener])
    print("stopped")


def open_socket(port: int, host: str = LOCAL.host) -> socket.socket:
    """A listening socket of this machine, or of the network that `host` names."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        fix = "choose another --port, or 0 for any"
        fix += "" if host == LOCAL.host else "; --host must be an address of this machine"
        raise ValueError(f"port {port} must be free ({error}); {fix}") from error
    return listener


def application(handlers: Sequence[RequestHandler], port: int, access: Access = LOCAL) -> Any:
    """The application: it answers requests of its own pages at this port only."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    contents = {f"/run/{k}": (page, "text/html") for k, page in enumerate(_pages(handlers))}
    contents |= {
        "/": contents["/run/0"],
        "/studio.js": ("\n".join(file.read_text() for file in SCRIPTS), "text/javascript"),
        "/studio.css": ("\n".join(file.read_text() for file in STYLES), "text/css"),
    }

    async def serve_file(request: Request) -> Response:
        content, kind = contents[request.url.path]
        return Response(content, media_type=kind, headers=HEADERS)

    async def serve_samples(request: Request) -> Response:
        return await _answer(
            request,
            handlers,
            RequestHandler.handle,
            lambda found: JSONResponse(found, headers=HEADERS),
        )

    async def serve_download(request: Request) -> Response:
        return await _answer(request, handlers, RequestHandler.download, _attachment)

    routes = [Route(path, serve_file, methods=["GET"]) for path in contents]
    routes += [Route("/samples/{run:int}", serve_samples, methods=["POST"])]
    routes += [Route("/download/{run:int}", serve_download, methods=["POST"])]
    return OriginCheck(Starlette(routes=routes), port, access)


async def _answer(
    request: Any,
    handlers: Sequence[RequestHandler],
    work: Callable[[RequestHandler, Any], Any],
    respond: Callable[[Any], Any],
) -> Any:
    """Read a request, let the handler of its run work in a thread, and respond."""
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect

    number = request.path_params["run"]
    if number >= len(handlers):
        return error_response(404, f"run must be below {len(handlers)}; got {number}")
    try:
        body = await _body(request)
    except ClientDisconnect:  # nobody reads the answer
        return error_response(400, "the request must be sent whole")
    if body is None:
        return error_response(413, f"the request is larger than {MAX_REQUEST_BYTES:,} bytes")
    try:
        return respond(await run_in_threadpool(work, handlers[number], json.loads(body)))
    except (ValueError, RecursionError) as error:
        return error_response(400, str(error) or "the request must be JSON")


def _attachment(found: tuple[str, bytes]) -> Any:
    """A response that a browser saves as a file."""
    from starlette.responses import Response

    name, content = found
    saved = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/octet-stream", headers=HEADERS | saved)


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


def _pages(handlers: Sequence[RequestHandler]) -> list[str]:
    """The page of each run, before its first samples."""
    names = [handler.name for handler in handlers]
    return [_page(handler, number, names) for number, handler in enumerate(handlers)]


def _page(handler: RequestHandler, number: int, names: Sequence[str]) -> str:
    """The page of one run: the samples first, so that a phone shows them above the form."""
    title = f"multigan studio: {handler.name}"
    head = element("header", element("h1", title), _links(number, names))
    body = element(
        "main", head, task_choice(handler.sampler), _stage(), form(handler.sampler),
        _command_box(), data_run=number,
    )  # fmt: skip
    return Template((OWN / "template.html").read_text()).substitute(
        title=element("title", title), body=body
    )


def _command_box() -> Markup:
    """The command of the samples; a script adds a button that copies it."""
    box = element("pre", element("code", id="command"), tabindex="0")
    return element("div", box, class_="command")


def _links(number: int, names: Sequence[str]) -> Markup:
    """Links to the pages of the other runs; none for a single one."""
    if len(names) == 1:
        return Markup("")
    here: list[dict[str, str]] = [
        {"aria-current": "page"} if k == number else {} for k in range(len(names))
    ]
    links = [element("a", name, href=f"/run/{k}", **here[k]) for k, name in enumerate(names)]
    return element("nav", *links, aria_label="runs")


def _stage() -> Markup:
    """The samples, what is done with them, and those that were kept."""
    buttons = {
        "another": "another", "compare": "compare with these", "save": "save all",
    }  # fmt: skip
    tools = [element("button", text, type="button", id=key) for key, text in buttons.items()]
    status = element("p", "sampling ...", id="status", role="status", class_="quiet")
    before = element("section", element("h2", "Before"), element("div", id="before"), hidden=True)
    kept = element("section", element("h2", "Kept"), element("div", id="kept"), hidden=True)
    now = element("section", element("div", id="samples"), class_="samples")
    return element("div", element("div", *tools, class_="tools"), status, joined(now, before, kept),
                   class_="stage")  # fmt: skip
