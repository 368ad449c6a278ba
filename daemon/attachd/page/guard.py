"""What stands before every page: who asks, by which name, and how. An ASGI application around another one.

Reading is all that there is: GET and HEAD. The Host header has to name this machine, because a web page of
somebody else can lead its own name to 127.0.0.1 and have a browser read what is there (DNS rebinding). Where
a token is set, every page asks for it, by `Authorization: Bearer` or, for browsers, as the password of Basic
(RFC 7617) with any user name.
"""

import base64
import binascii
import hmac
import ipaddress
import socket

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from attachd.page.listening import Listen, is_anywhere

METHODS = ("GET", "HEAD")
LOOPBACK_NAMES = frozenset({"localhost", "localhost."})


def policy(styles: str = "'none'") -> str:
    """Say what a browser may load: these styles (a source list of CSP level 3), and nothing else."""
    return (
        f"default-src 'none'; style-src {styles}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": policy(),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer; a page with a style of its own sets its own policy."""


class Guard:
    """Answers what is refused itself, and hands on the rest. Has no state but where it stands."""

    def __init__(self, app: ASGIApp, listen: Listen) -> None:
        self._app = app
        self._listen = listen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope)
        answer: ASGIApp = self._app if refusal is None else refusal
        await answer(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not is_ours(headers.getlist("host"), self._listen.host):
            return PlainTextResponse("This machine is not known by that name here.\n", status_code=400)
        if self._listen.token is not None and not shows(headers.get("authorization", ""), self._listen.token):
            asked = PlainTextResponse("This page asks for its token.\n", status_code=401)
            asked.headers.append("WWW-Authenticate", 'Bearer realm="attachd"')
            asked.headers.append("WWW-Authenticate", 'Basic realm="attachd", charset="UTF-8"')
            return asked
        if scope["method"] not in METHODS:
            return PlainTextResponse(
                "This page can only be read.\n", status_code=405, headers={"Allow": ", ".join(METHODS)}
            )
        return None


def is_ours(hosts: list[str], host: str) -> bool:
    """Say whether the Host header, which there must be once, names this machine.

    Loopback does, and the configured host does; where we listen on every address, each address does, and
    the machine's own name. The port is left out: a tunnel may have another one.
    """
    if len(hosts) != 1:
        return False
    asked = _without_port(hosts[0]).lower()
    if asked in LOOPBACK_NAMES or asked == host.lower():
        return True
    address = _address(asked)
    if is_anywhere(host):
        return address is not None or asked == socket.gethostname().lower()
    return address is not None and (address.is_loopback or address == _address(host))


def shows(authorization: str, token: str) -> bool:
    """Say whether an Authorization header carries the token, without telling by the time how near it was."""
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        value = _password(value)
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(value.encode(), token.encode())


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
