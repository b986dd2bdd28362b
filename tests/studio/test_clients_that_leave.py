"""A client that closes its connection leaves no traceback, and the studio goes on."""

import json
import logging
import socket
import struct
import time

import pytest

from multigan.studio.handlers import RequestHandler
from tests.studio.server_process import ask, request_body, running
from tests.text.tiny import tiny_sampler

pytest.importorskip("starlette", reason="pip install 'multigan[studio]'")
pytest.importorskip("uvicorn", reason="pip install 'multigan[studio]'")


def leave(port, sent, abruptly):
    """Send part of a request, or all of it, and close the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        if abruptly:  # a reset in place of an end
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(sent)
        time.sleep(0.1)


@pytest.mark.parametrize("abruptly", [False, True])
@pytest.mark.parametrize("part", ["half a head", "half a body", "all of it"])
def test_no_traceback_is_printed(part, abruptly, caplog, capfd, monkeypatch):
    answer = RequestHandler.handle

    def slowly(self, request):
        time.sleep(0.3)  # the client is gone when the answer is there
        return answer(self, request)

    monkeypatch.setattr(RequestHandler, "handle", slowly)
    with running(tiny_sampler()) as port:
        body = json.dumps(request_body()).encode()
        head = (
            f"POST /samples/0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        sent = {
            "half a head": head[:40],
            "half a body": head + body[:10],
            "all of it": head + body,
        }[part]
        for _ in range(3):
            leave(port, sent, abruptly)
        assert ask(port, "/")[0] == 200
    printed = "".join(capfd.readouterr()) + caplog.text
    assert "Traceback" not in printed
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
