"""GraphQL over HTTP: sends a document, reads the envelope, and says what a refusal means.

The order is the vendor's: the HTTP status first, then `errors`, then what is missing in `data`. Two kinds
of calls are told apart. A query may be repeated, so an answer that cannot be read is passing trouble. The
final calls must not be repeated blindly: what was never sent, 429 and 503 are passing, a clear refusal is
lasting, and everything else leaves nobody knowing whether the call took effect.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from attachd.destinations.exchange import HttpAnswer, host_of
from attachd.destinations.faults import Fault, Sent
from attachd.destinations.signin import TokenSource
from attachd.destinations.tenancy import Tenancy
from attachd.destinations.transport import Transport
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity

Hints = Mapping[ErrorKind, str]
"""What a person can do, by kind of trouble; each destination has its own words."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a status or a message says."""

    kind: ErrorKind
    severity: Severity


_PERMISSION = Meaning(ErrorKind.PERMISSION, Severity.LASTING)
_REFUSED = Meaning(ErrorKind.AUTH, Severity.REFUSED)
_REJECTED = Meaning(ErrorKind.REJECTED, Severity.LASTING)
_SERVER = Meaning(ErrorKind.SERVER, Severity.PASSING)
_THROTTLED = Meaning(ErrorKind.THROTTLED, Severity.PASSING)
_UNKNOWN_TARGET = Meaning(ErrorKind.UNKNOWN_TARGET, Severity.LASTING)
_NOBODY_KNOWS = Meaning(ErrorKind.UNKNOWN_OUTCOME, Severity.UNKNOWN)

BY_STATUS: Mapping[int, Meaning] = {
    401: _REFUSED,
    403: _PERMISSION,
    407: Meaning(ErrorKind.CONFIG, Severity.REFUSED),  # a proxy wants credentials: the API was not reached
    429: _THROTTLED,
    503: _SERVER,  # said before any work was done
}
"""Statuses that mean the same for every call."""

BY_MESSAGE: tuple[tuple[re.Pattern[str], Meaning], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        # The document or a variable does not fit the schema: said before anything is looked up.
        (
            (
                r"cannot query field|unknown (argument|type|field)|got invalid value|is not defined by type|"
                r"cannot represent|was not provided|syntax error|graphql validation"
            ),
            _REJECTED,
        ),
        (r"rate.?limit|too many requests|throttl", _THROTTLED),
        (r"\bunauthenticated\b", _REFUSED),
        (r"permission|denied|forbidden|not (authori[sz]ed|allowed)|\bunauthori[sz]ed", _PERMISSION),
        (r"authenticat|credential|\btoken\b|\brsa key\b", _REFUSED),
        (r"not found|(does|do) ?n[o']t exist|no such|\bno \w[\w ]* with id\b", _UNKNOWN_TARGET),
    )
)
"""What an error's code and message say, first match wins. The vendor publishes neither."""

_UPLOAD_AT_FAULT = re.compile(
    r"validate.?upload|\be-?tag|\bs3|checksum|\b(uploaded?|storage|stored) (object|file)|\bupload\b",
    re.IGNORECASE,
)
_SERVER_AT_FAULT = re.compile(
    r"internal (server )?error|unexpected error|timed? ?out|unavailable", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """How it is found out whose account a token opens.

    Attributes:
        document: asks for it; "" where the API has no question for it.
        path: field names in the answer, to the organization's id.
        known: the organization's id where rules.yaml names it; then nothing is asked.
    """

    document: str = ""
    path: tuple[str, ...] = ()
    known: str | None = None


@dataclass(frozen=True, slots=True)
class GraphError:
    """One entry of `errors`: its code (may be empty), its message fit to be shown, its first path segment."""

    code: str
    message: str
    field: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A readable answer: `data` may be partial where there are errors."""

    data: Mapping[str, Any]
    errors: tuple[GraphError, ...]

    def at(self, *path: str) -> Any:
        """Give the value at a path of field names, None where any part of it is missing."""
        value: Any = self.data
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def id_text(value: Any) -> str | None:
    """Give an id as text, whether it came as a number or as a string; None where it is no id."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return value.encode("utf-8", "backslashreplace").decode()  # JSON can hold what is no text


class GraphQL:
    """Makes the calls of one destination. Used by many workers at once.

    Every call goes out with a token whose tenant was checked. A token that the API refuses is renewed once,
    and the call repeated once, whatever call it is: a refused token means that nothing was done.

    Args:
        transport: sends them.
        source: gives the token.
        tenancy: checks whose account a token opens.
        url: the API's address, for messages.
        hints: for people, by kind of trouble.
        whose: how the tenant is found out.
        now: the wall clock, to read a `Retry-After` that gives a date.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        source: TokenSource,
        tenancy: Tenancy,
        url: str,
        hints: Hints,
        whose: Whose,
        now: Callable[[], datetime],
    ) -> None:
        self._transport = transport
        self._source = source
        self._tenancy = tenancy
        self._host = host_of(url)
        self._hints = hints
        self._whose = whose
        self._now = now

    def call(self, document: str, variables: Mapping[str, Any], *, final: bool = False) -> Reply:
        """Send one document and give its answer, which may hold errors.

        Args:
            document: with one operation.
            variables: as JSON.
            final: this call must not be repeated blindly.

        Raises:
            Trouble: there is no readable answer, or its status is a refusal.
            StopRequested: the service stops; nothing was sent.
        """
        payload = _payload(document, variables)
        token = self._token()
        try:
            return self._call_with(token, payload, final=final)
        except Trouble as trouble:
            if trouble.kind is not ErrorKind.AUTH or not self._source.renew(token):
                raise
        return self._call_with(self._token(), payload, final=final)

    def _token(self) -> str:
        try:
            return self._source.token()
        except Fault as fault:
            raise self._no_answer(fault, final=False) from None

    def _call_with(self, token: str, payload: bytes, *, final: bool) -> Reply:
        self._tenancy.require(token, lambda: self._organization(token))
        return self._exchange(token, payload, final=final)

    def _organization(self, token: str) -> str | None:
        """Ask whose token it is; None where this API does not tell."""
        if not self._whose.document:
            return self._whose.known
        reply = self._exchange(token, _payload(self._whose.document, {}), final=False)
        organization = id_text(reply.at(*self._whose.path))
        if organization is None and reply.errors:
            trouble = self.trouble_of(reply, self._whose.path[0])
            if trouble.severity is not Severity.LASTING:
                raise trouble
        return organization

    def _exchange(self, token: str, payload: bytes, *, final: bool) -> Reply:
        try:
            answer = self._transport.post_json(payload, token)
        except Fault as fault:
            raise self._no_answer(fault, final=final) from None
        content = _parse(answer)
        if not 200 <= answer.status < 300:
            raise self._refused(answer, content, final=final)
        reply = _reply(answer, content)
        if reply is None:
            raise self.unreadable("something that is not a GraphQL answer", final=final)
        if reply.errors and not any(reply.data.values()):
            trouble = self.trouble_of(reply, reply.errors[0].field, final=final)
            if trouble.kind is ErrorKind.AUTH:
                raise trouble
        return reply

    def ask(self, document: str, variables: Mapping[str, Any]) -> Reply:
        """Send a query that is worth nothing in part, and give its answer, which holds no errors.

        Raises:
            Trouble: as of `call`, or what the errors in the answer mean.
        """
        reply = self.call(document, variables)
        if reply.errors:
            raise self.trouble_of(reply, "")
        return reply

    def trouble_of(self, reply: Reply, field: str, *, final: bool = False) -> Trouble:
        """Say what it means that a field is missing in an answer, going by its errors if there are any."""
        if not reply.errors:
            return self.unreadable(f"no {field}", final=final)
        error = next((error for error in reply.errors if error.field == field), reply.errors[0])
        text = f"{error.code.replace('_', ' ')}: {error.message}"
        meaning = _meaning_of(text, final=final)
        unclear = final and meaning is _REJECTED and _SERVER_AT_FAULT.search(text)
        return self._trouble(
            meaning,
            f"{self._host} refused: {error.message}",
            hint=ErrorKind.UNKNOWN_OUTCOME if unclear else meaning.kind,
            restart=meaning.kind is ErrorKind.INTEGRITY,
        )

    def unreadable(self, what: str, *, final: bool) -> Trouble:
        """Say what it means that the answer is not what was asked for."""
        return self._trouble(_NOBODY_KNOWS if final else _SERVER, f"{self._host} answered with {what}")

    def _no_answer(self, fault: Fault, *, final: bool) -> Trouble:
        if fault.kind in {ErrorKind.CONFIG, ErrorKind.AUTH}:
            refused = self._trouble(Meaning(fault.kind, Severity.REFUSED), fault.message)
            refused.hint = fault.hint or refused.hint
            return refused
        if final and fault.sent is not Sent.NO:
            return self._trouble(_NOBODY_KNOWS, f"{fault.message}; nobody knows whether the call took effect")
        meaning = Meaning(fault.kind, Severity.PASSING)
        return self._trouble(meaning, fault.message, unreachable=fault.sent is Sent.NO)

    def _refused(self, answer: HttpAnswer, content: Any, *, final: bool) -> Trouble:
        said = _said(answer, content)
        text = f"{self._host} answered {answer.status}{': ' + said if said else ''}"
        meaning = _meaning_of_status(answer.status, final=final)
        return self._trouble(meaning, text, retry_after=answer.retry_after(self._now()))

    def _trouble(
        self, meaning: Meaning, message: str, *, hint: ErrorKind | None = None, **more: Any
    ) -> Trouble:
        words = self._hints.get(hint or meaning.kind, "")
        return Trouble(meaning.kind, meaning.severity, message, hint=words, **more)


def _payload(document: str, variables: Mapping[str, Any]) -> bytes:
    return json.dumps({"query": document, "variables": variables}).encode()


def _meaning_of_status(status: int, *, final: bool) -> Meaning:
    if status in BY_STATUS:
        return BY_STATUS[status]
    if final:
        return _NOBODY_KNOWS if status >= 500 else _REJECTED
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Meaning(ErrorKind.TIMEOUT, Severity.PASSING)
    return _SERVER if status >= 500 else _REJECTED


def _meaning_of(text: str, *, final: bool) -> Meaning:
    matches = (meaning for pattern, meaning in BY_MESSAGE if pattern.search(text))
    meaning = next(matches, None)
    if final and _UPLOAD_AT_FAULT.search(text) and meaning in {None, _UNKNOWN_TARGET}:
        return Meaning(ErrorKind.INTEGRITY, Severity.LASTING)
    if meaning is not None:
        return meaning
    return _SERVER if not final and _SERVER_AT_FAULT.search(text) else _REJECTED


def _parse(answer: HttpAnswer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, endless digits, or nested without end
        return None


def _reply(answer: HttpAnswer, content: Any) -> Reply | None:
    if not isinstance(content, Mapping):
        return None
    data = content.get("data")
    errors = _errors(answer, content)
    if not isinstance(data, Mapping):
        data = {}
    return Reply(data, errors) if data or errors else None


def _said(answer: HttpAnswer, content: Any) -> str:
    """Find the reason in a refusal that came before GraphQL ran, whose form no page tells."""
    if not isinstance(content, Mapping):
        return ""
    plain = (content.get(name) for name in ("message", "error_description", "error", "detail"))
    reasons = [error.message for error in _errors(answer, content)[:3]]
    reasons = reasons or [answer.quoted(text) for text in plain if isinstance(text, str)][:1]
    return "; ".join(reasons)


def _errors(answer: HttpAnswer, content: Any) -> tuple[GraphError, ...]:
    entries = content.get("errors") if isinstance(content, Mapping) else None
    if not isinstance(entries, list):
        return ()
    return tuple(_error(answer, entry) for entry in entries)


def _error(answer: HttpAnswer, entry: Any) -> GraphError:
    if not isinstance(entry, Mapping):
        return GraphError("", answer.quoted(str(entry)), "")
    extensions = entry.get("extensions")
    code = extensions.get("code") if isinstance(extensions, Mapping) else ""
    path = entry.get("path")
    field = path[0] if isinstance(path, list) and path else ""
    return GraphError(
        str(code or ""), answer.quoted(str(entry.get("message") or "no reason given")), str(field)
    )
