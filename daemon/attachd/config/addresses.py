"""URLs, hosts and `HOST:PORT` as rules.yaml may give them. No message here repeats the address."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")
_LOCAL_NAMES = frozenset({"localhost", "localhost."})

Fault = tuple[str, str]
"""What is wrong, and what to do."""


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by name or address, without asking a name server."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Say whether text is a host name or an IP address."""
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return _HOST.fullmatch(text) is not None and len(text) <= 253
    return True


def url_fault(text: str) -> Fault | None:
    """Say what is wrong with the address of an API: https, or http on loopback, and nothing secret in it."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"}:
        return "must be an https URL", "write https://HOST/PATH"
    if "@" in parts.netloc:
        return "must not hold a user name or password", "give the secret as `token`"
    if parts.query or parts.fragment:
        return "must not have a `?query` or `#fragment`", "give a secret as `token`"
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return "must be https: the token would travel in the open", "plain http is allowed on loopback only"
    return None


def proxy_fault(text: str) -> Fault | None:
    """Say what is wrong with the address of a proxy."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"}:
        return "must be the URL of a proxy", "write http://HOST:PORT"
    if "@" in parts.netloc:
        return "must not hold a user name or password", "put them into $HTTPS_PROXY and leave `proxy` out"
    return None


def listen_fault(text: str) -> Fault | None:
    """Say what is wrong with `HOST:PORT`."""
    host, colon, port = text.rpartition(":")
    if not colon or not is_host(host) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        return "must be HOST:PORT", "write for example 127.0.0.1:8780"
    if (":" in host) != (host.startswith("[") and host.endswith("]")):
        return "must have an IPv6 address, and nothing else, in brackets", "write for example [::1]:8780"
    return None


def split_listen(text: str) -> tuple[str, int]:
    """Give host and port of a `HOST:PORT` that is sound, an IPv6 address without its brackets."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _split(text: str) -> SplitResult | None:
    if not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    sound = is_host(parts.hostname or "") and port != 0
    return parts if sound else None
