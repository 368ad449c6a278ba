"""Bytes to object storage by a signed URL, by PUT or in a form, and what its refusals mean.

What S3 answers and what follows from it stands in `BY_CODE`; where no code can be read, the HTTP status
decides. Sources: the file-upload page of ION ("Common errors") and the S3 API's list of error responses.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from attachd.core.protocols import Body
from attachd.destinations.connections import is_loopback
from attachd.destinations.exchange import HttpAnswer
from attachd.destinations.faults import Fault, Sent
from attachd.destinations.forms import Form, Headers, forwarded
from attachd.destinations.transport import Sized, Transport
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity

_NEW_URL = "attachd asks for a new upload URL and uses it at once; nothing needs to be done"
_RETRIED = "attachd tries again by itself; nothing needs to be done"
_ASK_VENDOR = "tell the operator of the destination: their storage refuses its own upload URL"
_REPORT = "please report this as a fault of attachd"
_BYTES_DIFFER = (
    "attachd sends the file once more; if this stays, the file changes while it is sent, or something "
    "between here and storage (a proxy) alters it"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal means.

    Attributes:
        kind: the contract's `error.kind`.
        severity: what counts once `fresh_url` or `restart` did not help.
        hint: what a person can do.
        fresh_url: a new URL in the same attempt may help.
        restart: starting over with fresh bytes may help, once.
    """

    kind: ErrorKind
    severity: Severity
    hint: str
    fresh_url: bool = False
    restart: bool = False


_EXPIRED = Refusal(ErrorKind.EXPIRED, Severity.PASSING, _NEW_URL, fresh_url=True)
_BUSY = Refusal(ErrorKind.SERVER, Severity.PASSING, _RETRIED)
_SLOW_DOWN = Refusal(ErrorKind.THROTTLED, Severity.PASSING, _RETRIED)
_WRONG_BYTES = Refusal(ErrorKind.INTEGRITY, Severity.LASTING, _BYTES_DIFFER, restart=True)
_OUR_FAULT = Refusal(ErrorKind.REJECTED, Severity.LASTING, _REPORT)
_THEIR_FAULT = Refusal(ErrorKind.REJECTED, Severity.LASTING, _ASK_VENDOR)
_TOO_LARGE = Refusal(
    ErrorKind.TOO_LARGE,
    Severity.LASTING,
    "storage takes no file of this size in one piece; set limits.max_file_size to what it takes",
)
_DENIED = Refusal(
    ErrorKind.PERMISSION,
    Severity.LASTING,
    "a new upload URL was refused as well: a proxy or firewall may be in the way, or the destination's "
    "storage does not accept its own URLs; then retry",
    fresh_url=True,
)

BY_CODE: Mapping[str, Refusal] = {
    "AccessDenied": _DENIED,  # "Request has expired" is told apart by its message
    "SignatureDoesNotMatch": Refusal(
        ErrorKind.SIGNATURE,
        Severity.LASTING,
        "attachd sends exactly the content type it was given; a proxy in between may change headers",
        fresh_url=True,
    ),
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": Refusal(
        ErrorKind.EXPIRED,
        Severity.PASSING,
        "check the clock of this machine (timedatectl) if this stays",
        fresh_url=True,
    ),
    "RequestTimeout": Refusal(ErrorKind.TIMEOUT, Severity.PASSING, _RETRIED, fresh_url=True),
    "IncompleteBody": Refusal(ErrorKind.NETWORK, Severity.PASSING, _RETRIED, fresh_url=True),
    "BadDigest": _WRONG_BYTES,
    "InvalidDigest": _WRONG_BYTES,
    "EntityTooLarge": _TOO_LARGE,
    "MissingContentLength": _OUR_FAULT,
    "NotImplemented": _OUR_FAULT,
    "MalformedPOSTRequest": _OUR_FAULT,
    "IncorrectNumberOfFilesInPostRequest": _OUR_FAULT,
    "InvalidPolicyDocument": _THEIR_FAULT,
    "NoSuchBucket": _THEIR_FAULT,
    "InvalidAccessKeyId": _THEIR_FAULT,
    "SlowDown": _SLOW_DOWN,
    "ServiceUnavailable": _BUSY,
    "InternalError": _BUSY,
}
"""What the `<Code>` of an S3 error means."""

BY_STATUS: Mapping[int, Refusal] = {
    403: _DENIED,
    407: Refusal(
        ErrorKind.CONFIG, Severity.REFUSED, "the proxy wants credentials: correct proxy in rules.yaml"
    ),
    408: Refusal(ErrorKind.TIMEOUT, Severity.PASSING, _RETRIED, fresh_url=True),
    411: _OUR_FAULT,
    413: _TOO_LARGE,
    429: _SLOW_DOWN,
    501: _OUR_FAULT,
}
"""What a status means where no known code came with it; other 5xx pass, everything else stays."""

_OTHER = Refusal(
    ErrorKind.REJECTED, Severity.LASTING, "look at the message; then retry, or dismiss the delivery"
)
_REDIRECT = Refusal(
    ErrorKind.REJECTED,
    Severity.LASTING,
    "a signed URL is good for one address only, so attachd follows no redirect; a proxy or sign-in page "
    "may be in the way, or the destination gives out URLs of the wrong region",
)

_TAKEN = frozenset({200, 201, 204})
"""What storage answers when it took a body: a PUT with 200, a form with what it asks for, else 204."""

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,100})\s*</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,2000})</Message>")


class Storage:
    """Sends bodies to signed URLs. Used by many workers at once.

    Args:
        transport: sends them.
        hosts: the only hosts that URLs may lead to; None for any.
        now: the wall clock, to read a `Retry-After` that gives a date.
    """

    def __init__(
        self, transport: Transport, *, hosts: tuple[str, ...] | None, now: Callable[[], datetime]
    ) -> None:
        self._transport = transport
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._now = now

    def put(self, url: str, content_type: str, body: Body) -> str:
        """Send a body and give its ETag, without quotes, otherwise as it came.

        Args:
            url: signed; used once.
            content_type: exactly as it was signed; "" sends none.
            body: read once, from its start.

        Raises:
            Trouble: storage did not take it, or not as it was sent.
            FileError: the body could not be read.
        """
        headers = {"Content-Type": content_type} if content_type else {}
        answer = self._send("PUT", url, headers, body)
        etag = _etag(answer)
        if not etag:
            raise _trouble(
                _WRONG_BYTES,
                f"storage at {answer.host} took the file but gave no ETag, so it cannot be registered",
            )
        _require_same(etag, answer, body)
        return etag

    def put_as_told(self, url: str, headers: Headers, body: Body) -> str:
        """Send a body with the headers that came with its URL; give its ETag, "" where none is told.

        Args:
            url: signed; used once.
            headers: of which only those that belong to the connection itself are left out.
            body: read once, from its start.

        Raises:
            Trouble: storage did not take it, or not as it was sent, or a header cannot be sent.
            FileError: the body could not be read.
        """
        return self._told("PUT", url, headers, body, body, secret=headers)

    def post_form(self, url: str, headers: Headers, form: Form, body: Body) -> str:
        """Send a body in a multipart form; give its ETag, "" where none is told.

        Args:
            url: of the form; used once.
            headers: as for `put_as_told`; a Content-Type is replaced by the form's own.
            form: around the body.
            body: read once, from its start.

        Raises:
            As of `put_as_told`.
        """
        own = [(name, value) for name, value in headers if name.lower() != "content-type"]
        secret = (*headers, *form.fields)
        told = (*own, ("Content-Type", form.content_type))
        return self._told("POST", url, told, form.around(body), body, secret=secret)

    def _told(
        self, method: str, url: str, headers: Headers, sent: Sized, body: Body, *, secret: Headers
    ) -> str:
        answer = self._send(method, url, forwarded(headers), sent, _hidden(secret))
        etag = _etag(answer)
        if etag:
            _require_same(etag, answer, body)
        return etag

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Sized, secrets: tuple[str, ...] = ()
    ) -> HttpAnswer:
        self._require_allowed(url)
        try:
            answer = self._transport.send(method, url, headers, body, secrets)
        except Fault as fault:
            raise _no_answer(fault) from None
        if answer.status not in _TAKEN:
            raise self._refused(answer)
        return answer

    def get(self, url: str) -> Iterator[bytes]:
        """Give the bytes behind a signed URL, block by block.

        Raises:
            Trouble: storage did not give them, or the answer broke off.
        """
        self._require_allowed(url)
        try:
            answer = yield from self._transport.get(url)
        except Fault as fault:
            raise _no_answer(fault) from None
        if not 200 <= answer.status < 300:
            raise self._refused(answer)

    def _require_allowed(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:  # a bracket that is no IPv6 address
            raise _not_allowed("that cannot be read", "tell the operator of the destination") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            raise _not_allowed(f"to {host} that is not https", "tell the operator of the destination")
        if self._hosts is not None and host not in self._hosts:
            raise _not_allowed(
                f"to {host}, which is not among storage_hosts",
                f"if {host} is the destination's storage, add it to storage_hosts and retry",
            )

    def _refused(self, answer: HttpAnswer) -> Trouble:
        code = _found(_CODE, answer)
        message = _found(_MESSAGE, answer)
        refusal = _meaning_of(code, message, answer.status)
        said = ": ".join(part for part in (code, message) if part)
        text = f"storage at {answer.host} answered {answer.status}{f' ({said})' if said else ''}"
        return _trouble(refusal, text, retry_after=answer.retry_after(self._now()))


def _meaning_of(code: str, message: str, status: int) -> Refusal:
    if code == "AccessDenied" and "expired" in message.lower():
        return _EXPIRED
    known = BY_CODE.get(code) or BY_STATUS.get(status)
    if known is not None:
        return known
    if status >= 500:
        return _BUSY
    return _REDIRECT if 300 <= status < 400 else _OTHER


def _found(pattern: re.Pattern[bytes], answer: HttpAnswer) -> str:
    """Find an element of an S3 error without an XML parser: there is nothing to expand or to fetch."""
    match = pattern.search(answer.body)
    return answer.quoted(match[1].decode("utf-8", "replace")) if match else ""


def _no_answer(fault: Fault) -> Trouble:
    if fault.kind is ErrorKind.CONFIG:
        return Trouble(
            fault.kind, Severity.LASTING, fault.message, hint="check proxy in rules.yaml; then retry"
        )
    # A refusal in mid-transfer often shows only as a broken connection, so a new URL is worth asking for.
    broke = fault.kind is ErrorKind.NETWORK and fault.sent is not Sent.NO
    return Trouble(
        fault.kind,
        Severity.PASSING,
        fault.message,
        hint=_RETRIED,
        fresh_url=broke,
        unreachable=fault.sent is Sent.NO,
    )


def _etag(answer: HttpAnswer) -> str:
    """Take the ETag from an answer, without quotes, otherwise as it came; "" where there is none."""
    given = answer.headers.get("ETag", "").strip().removeprefix("W/")
    # One quote alone: the connection broke in the middle of it; http.client takes that for the head's end.
    return "" if given.count('"') == 1 else given.strip('"')


def _require_same(etag: str, answer: HttpAnswer, body: Body) -> None:
    """Compare an ETag with the MD5 of what was sent where it is one.

    An ETag is the MD5 only of objects stored in one piece, in the clear or with keys of S3 itself. With
    keys of KMS or of the customer it looks the same and is something else
    (docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html).
    """
    if _is_md5(etag, answer.headers) and etag.lower() != body.md5_hex():
        raise _trouble(_WRONG_BYTES, f"storage at {answer.host} received other bytes than were sent")


def _hidden(given: Headers) -> tuple[str, ...]:
    """Give the values that must not be shown: signatures, policies, credentials, by their length."""
    return tuple(value for name, value in given if len(value) >= 16 and name.lower() != "content-type")


def _is_md5(etag: str, headers: Mapping[str, str]) -> bool:
    encryption = headers.get("x-amz-server-side-encryption", "AES256")
    own_key = "x-amz-server-side-encryption-customer-algorithm" in headers
    return encryption == "AES256" and not own_key and re.fullmatch(r"[0-9A-Fa-f]{32}", etag) is not None


def _not_allowed(which: str, hint: str) -> Trouble:
    return Trouble(
        ErrorKind.CONFIG, Severity.LASTING, f"the destination gave out an upload URL {which}", hint=hint
    )


def _trouble(refusal: Refusal, message: str, **more: Any) -> Trouble:
    return Trouble(
        refusal.kind,
        refusal.severity,
        message,
        hint=refusal.hint,
        fresh_url=refusal.fresh_url,
        restart=refusal.restart,
        **more,
    )
