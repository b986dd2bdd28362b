"""A server on 127.0.0.1 that speaks the endpoints of the Hub that push and hf:// addresses use.

Repositories live in memory. Files are committed inline, as the Hub does for small ones.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_test"


class HubServer(ThreadingHTTPServer):
    """`repositories`: user/name -> {file: content}; `requests`: "METHOD path" of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve_hub() -> Iterator[HubServer]:
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self, status: int, content: Any, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.requests.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
            self.server.repositories.setdefault(name, {})
            return self._answer(200, {"url": f"{self.server.endpoint}/{name}"})
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self._answer(200, {"files": files})
        for line in filter(None, body.splitlines()):
            item = json.loads(line)
            if item["key"] == "file":
                value = item["value"]
                self.server.repositories[name][value["path"]] = base64.b64decode(value["content"])
        commit = {"commitUrl": f"{self.server.endpoint}/{name}/commit/{'a' * 40}"}
        return self._answer(200, commit | {"commitOid": "a" * 40, "success": True})

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        user, repository, _, _, *file = self.path.strip("/").split("/")
        files = self.server.repositories.get(f"{user}/{repository}")
        if files is None:
            headers = {"X_Error_Code": "RepoNotFound"}
            return self._answer(404, {"error": "Repository not found"}, **headers)
        content = files.get("/".join(file))
        if content is None:
            headers = {"X_Error_Code": "EntryNotFound"}
            return self._answer(404, {"error": "Entry not found"}, **headers)
        tag = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X_Repo_Commit": "a" * 40}
        return self._answer(200, content, **tag)

    do_HEAD = do_GET
