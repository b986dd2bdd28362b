"""A studio server in a thread."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

from multigan.studio.handlers import RequestHandler
from multigan.studio.server import application, open_socket


def running(sampler, name="run"):
    """The port of a studio of this generator."""
    return serving(lambda port: application([RequestHandler(sampler, name)], port))


@contextmanager
def serving(make_application):
    """The port of an application that is made for it."""
    import uvicorn

    with open_socket(0) as here:
        port = here.getsockname()[1]
        app = make_application(port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [here]})
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(timeout=30)
        assert not thread.is_alive()


def ask(port, path, body=None, **headers):
    """Status, headers and text of an answer."""
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = {k.replace("_", "-"): v for k, v in headers.items()}
    kind = {} if sent is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", sent, kind | given)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers, refusal.read().decode()


def request_body(**changes):
    """The first request of the page."""
    return {
        "n": 4,
        "seed": 0,
        "other_seed": 1,
        "fraction": 0,
        "positions": [0] * 4,
        "options": {},
    } | changes
