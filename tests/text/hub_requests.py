"""Count the requests to the Hub that weight files cause; run as a process of its own.

The endpoint of the Hub is a listener on 127.0.0.1, set before its library is imported. The last
line is JSON: connections while `sample` opened the files of a folder, and while the library was
asked for a model inside `offline()` and outside.
"""

import contextlib
import io
import json
import os
import socketserver
import sys
import threading
import warnings
from pathlib import Path

SEEN: list[str] = []


class Refuser(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        SEEN.append(self.request.recv(200).decode(errors="replace").partition("\r")[0])
        self.request.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def counted(action, *arguments: object) -> int:
    before = len(SEEN)
    with contextlib.suppress(Exception):
        action(*arguments)
    return len(SEEN) - before


def main(folder: Path) -> None:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuser)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_address[1]}"
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.pop(name, None)
    os.environ["HF_HOME"] = str(folder / "hub")

    from multigan.cli import app
    from multigan.core.optional_dependencies import offline, transformers

    errors = {}
    found = 0
    for file in sorted(folder.glob("*.safetensors")):
        said = io.StringIO()
        command = ["sample", str(file), "-n", "1", "--out", str(folder / file.stem)]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            found += counted(app.main, command)
        errors[file.stem] = said.getvalue().strip()
    ask = transformers().AutoConfig.from_pretrained
    with offline():
        within = counted(ask, "evil/repo")
    answer = {
        "version": transformers().__version__,
        "files": found,
        "offline": within,
        "online": counted(ask, "evil/repo"),
    }
    print(json.dumps(answer | {"errors": errors}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
