"""Access to a local server: this machine only, or anyone who holds its token."""

from __future__ import annotations

import hmac
import secrets
from typing import Any, NamedTuple
from urllib.parse import parse_qs

LOCAL_HOST = "127.0.0.1"
LOCAL_NAMES = (LOCAL_HOST, "localhost")
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


class Access(NamedTuple):
    """The address of a server and the token that it asks for; without one it is local."""

    host: str = LOCAL_HOST
    token: str = ""

    def address(self, port: int) -> str:
        """Return the address to open, with the token."""
        return f"http://{self.host}:{port}/" + (f"?token={self.token}" if self.token else "")


LOCAL = Access()


def access_for(host: str) -> Access:
    """Return local access, or access by a new random token for any other host."""
    return LOCAL if host in LOCAL_NAMES else Access(host, secrets.token_urlsafe(24))


class OriginCheck:
    """Middleware that rejects requests from anywhere but the page itself.

    Another name for this machine (DNS rebinding) is visible in Host; another page in Origin and
    Sec-Fetch-Site. It cannot send JSON without a preflight request, which is never granted. With a
    token any Host is accepted, but each request must carry the token: in the address of the first
    one, then in a cookie that other sites cannot send or read.
    """

    def __init__(self, app: Any, port: int, access: Access = LOCAL) -> None:
        self.app, self.token = app, access.token
        self.hosts = {f"{name}:{port}" for name in LOCAL_NAMES}
        self.cookie = f"multigan-{port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or reject it with 401, 403 or 415."""
        is_first = bool(self.token) and scope["method"] == "GET" and self._is_in_address(scope)
        rejection = None if is_first else self._rejection(scope)
        answer = self.app if rejection is None else error_response(*rejection)
        await answer(scope, receive, self._with_cookie(send) if is_first else send)

    def _is_in_address(self, scope: Any) -> bool:
        """True if the token stands in the address."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return any(self._is_token(given) for given in query.get("token", []))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _with_cookie(self, send: Any) -> Any:
        """Add the token to a response as a cookie of this site only."""
        value = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"

        async def send_with_cookie(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"set-cookie", value.encode())]
            await send(message)

        return send_with_cookie

    def _rejection(self, scope: Any) -> tuple[int, str] | None:
        """Status and reason of a rejection, or None."""
        from starlette.requests import HTTPConnection

        request = HTTPConnection(scope)
        headers = request.headers
        named = headers.getlist("host")
        if self.token and not self._is_token(request.cookies.get(self.cookie, "")):
            return 401, "the request must carry the token of the printed address"
        if len(named) != 1 or not (self.token or named[0] in self.hosts):
            return 403, "the Host header must name this server"
        hosts = {named[0]} if self.token else self.hosts
        if headers.get("origin") not in {None, *(f"http://{host}" for host in hosts)}:
            return 403, "the request must come from this page"
        if headers.get("sec-fetch-site") not in {None, *SAME_ORIGIN}:
            return 403, "the request must come from this page"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            return 415, "the request must be JSON"
        return None


def error_response(status: int, message: str) -> Any:
    """Return a JSON response with one line of explanation."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error": message}, status_code=status, headers=HEADERS)
