"""What an exception of requests or urllib3 means: its kind, and whether the request was sent.

Every class of exception that the two libraries have stands in `TABLE`; a test fails when one is missing.
Their texts are not passed on: they hold URLs with their signatures, and header values.
"""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import requests.exceptions as rq
import urllib3.exceptions as u3

from attachd.destinations.redaction import quoted
from attachd.errors import AttachdError
from attachd.model import ErrorKind


class Sent(Enum):
    """Whether any part of a request reached the other side."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Fault(AttachdError):
    """A request got no answer.

    Attributes:
        kind: `network`, `tls`, `timeout`, or `config` for a request that could not even be made, or
            `auth` for a token that cannot be sent.
        sent: NO means for certain that the other side has not seen it.
        message: what happened, without secrets.
        hint: what a person can do, where that is known here.
    """

    def __init__(self, kind: ErrorKind, sent: Sent, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.sent = sent
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Row:
    """What one class of exception means. `kind` None: the exception inside it says more."""

    kind: ErrorKind | None
    sent: Sent


_INSIDE = Row(None, Sent.UNKNOWN)
_NOT_SENT = Row(ErrorKind.NETWORK, Sent.NO)
_BROKEN = Row(ErrorKind.NETWORK, Sent.UNKNOWN)
_ANSWER_BROKEN = Row(ErrorKind.NETWORK, Sent.YES)
_CONNECT_TIMEOUT = Row(ErrorKind.TIMEOUT, Sent.NO)
_TIMEOUT = Row(ErrorKind.TIMEOUT, Sent.UNKNOWN)
_TLS = Row(ErrorKind.TLS, Sent.UNKNOWN)
_UNUSABLE = Row(ErrorKind.CONFIG, Sent.NO)

TABLE: MappingProxyType[type[BaseException], Row] = MappingProxyType(
    {
        # requests
        rq.RequestException: _INSIDE,
        rq.ConnectionError: _INSIDE,
        rq.HTTPError: _ANSWER_BROKEN,
        rq.ProxyError: _INSIDE,
        rq.SSLError: _TLS,
        rq.Timeout: _TIMEOUT,
        rq.ConnectTimeout: _CONNECT_TIMEOUT,
        rq.ReadTimeout: _TIMEOUT,
        rq.URLRequired: _UNUSABLE,
        rq.TooManyRedirects: _ANSWER_BROKEN,
        rq.MissingSchema: _UNUSABLE,
        rq.InvalidSchema: _UNUSABLE,
        rq.InvalidURL: _UNUSABLE,
        rq.InvalidHeader: _UNUSABLE,
        rq.InvalidProxyURL: _UNUSABLE,
        rq.InvalidJSONError: _UNUSABLE,
        rq.JSONDecodeError: _ANSWER_BROKEN,
        rq.ChunkedEncodingError: _ANSWER_BROKEN,
        rq.ContentDecodingError: _ANSWER_BROKEN,
        rq.StreamConsumedError: _ANSWER_BROKEN,
        rq.RetryError: _ANSWER_BROKEN,
        rq.UnrewindableBodyError: _BROKEN,
        # urllib3
        u3.HTTPError: _BROKEN,
        u3.PoolError: _NOT_SENT,
        u3.RequestError: _INSIDE,
        u3.SSLError: _TLS,
        u3.ProxyError: _INSIDE,
        u3.DecodeError: _ANSWER_BROKEN,
        u3.ProtocolError: _INSIDE,
        u3.MaxRetryError: _INSIDE,
        u3.HostChangedError: _UNUSABLE,
        u3.TimeoutStateError: _BROKEN,
        u3.TimeoutError: _TIMEOUT,
        u3.ReadTimeoutError: _TIMEOUT,
        u3.ConnectTimeoutError: _CONNECT_TIMEOUT,
        u3.NewConnectionError: _NOT_SENT,
        u3.NameResolutionError: _NOT_SENT,
        u3.EmptyPoolError: _NOT_SENT,
        u3.FullPoolError: _ANSWER_BROKEN,
        u3.ClosedPoolError: _NOT_SENT,
        u3.LocationValueError: _UNUSABLE,
        u3.LocationParseError: _UNUSABLE,
        u3.URLSchemeUnknown: _UNUSABLE,
        u3.ProxySchemeUnknown: _UNUSABLE,
        u3.ProxySchemeUnsupported: _UNUSABLE,
        u3.ResponseError: _ANSWER_BROKEN,
        u3.ResponseNotChunked: _ANSWER_BROKEN,
        u3.BodyNotHttplibCompatible: _ANSWER_BROKEN,
        u3.IncompleteRead: _ANSWER_BROKEN,
        u3.InvalidChunkLength: _ANSWER_BROKEN,
        u3.InvalidHeader: _ANSWER_BROKEN,
        u3.HeaderParsingError: _ANSWER_BROKEN,
        u3.UnrewindableBodyError: _BROKEN,
        # what they let through or wrap
        ssl.SSLError: _TLS,
        TimeoutError: _TIMEOUT,
        OSError: _BROKEN,
    }
)


def fault_of(error: BaseException, *, host: str, begun: bool) -> Fault:
    """Translate an exception into what it means.

    Args:
        error: what requests, urllib3 or the system raised.
        host: whom the request was for, as people know it.
        begun: whether any byte of the request itself may have left this machine: decides where the class
            of the exception leaves it open.
    """
    chain = list(_chain(error))
    kind, sent = _first_that_knows(chain)
    if not begun:
        sent = Sent.NO
    elif sent is Sent.NO:
        sent = Sent.UNKNOWN
    if kind is ErrorKind.TLS and begun:  # after the handshake: a connection broke, nothing is wrong with TLS
        kind = ErrorKind.NETWORK
    return Fault(kind, sent, _sentence(kind, host, _reason(chain), begun=begun))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and what it wraps, outermost first."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = (getattr(current, "reason", None), *current.args, current.__cause__)
        waiting.extend(item for item in inner if isinstance(item, BaseException))


def _first_that_knows(chain: list[BaseException]) -> tuple[ErrorKind, Sent]:
    for error in chain:
        row = next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), _INSIDE)
        if row.kind is not None:
            return row.kind, row.sent
    return ErrorKind.NETWORK, Sent.UNKNOWN


def _reason(chain: list[BaseException]) -> str:
    """Give the system's own words for what happened; never the text of a library's exception."""
    for error in chain:
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error.verify_message)
        if isinstance(error, ssl.SSLError):
            return (getattr(error, "reason", None) or "").replace("_", " ").lower()
        if type(error).__module__ in {"builtins", "socket"} and isinstance(error, (OSError, socket.gaierror)):
            return error.strerror or _tunnel_reason(error)
    return ""


def _tunnel_reason(error: OSError) -> str:
    text = str(error)
    return quoted(text.lower()) if text.startswith("Tunnel connection failed: ") else ""


def _sentence(kind: ErrorKind, host: str, reason: str, *, begun: bool) -> str:
    if kind is ErrorKind.CONFIG:
        return f"no request to {host} could be made: the address, the proxy or a header is not usable"
    if kind is ErrorKind.TIMEOUT:
        return f"{host} did not answer in time" if begun else f"no connection to {host} in time"
    if kind is ErrorKind.TLS:
        text = f"no secure connection to {host}"
    else:
        text = f"the connection to {host} broke" if begun else f"no connection to {host}"
    return f"{text}: {reason}" if reason else text
