"""The fault script: which call goes wrong, how, and how often.

A rule is JSON: `{"call": "put", "times": 2, "match": {"filename": "a.jpg"}, "do": "reset"}`.
`call` is `open` (ION or Glue), `put` (the upload, also by a form), `register` (ION), `create` or `message`
(Glue), `query` (other GraphQL), `get` (a download), `token` (OAuth) or `any` (the default); `times` is 1
unless told; `match` compares the call's arguments by the vendors' names (ION: `filename`, `s3Key`,
`entityId`, `id`; Glue: `name`, `contentMD5`, `uploadTicketID`, `text`, `threadID`, and `filename` for all
four calls) as text. The first rule that fits a call is used. `do` is one of

| do | what happens |
|---|---|
| `{"status": 503, "headers": {}, "body": ""}` | that answer, no work |
| `{"delay": 2.0}` | seconds of silence, then the work and its answer |
| `{"work_then": "reset"}`, `"hang"` or `{"status": 502}` | the work is done, its answer lost |
| `"reset"` | the connection is reset; for `put` before its body is read |
| `"reset_mid_body"` | `put`: half of the body is read, then a reset |
| `"hang"` | silence |
| `{"graphql_error": "text"}` | no work, HTTP 200 with `errors` |
| `{"etag": "text"}` | `put`: the object is stored under this ETag, as storage with encryption does |
| `"no_etag"` | `put`: stored, but the answer bears no ETag |
| `"html"` | no work, HTTP 200 with a page, as from a proxy in between |
| `"half"` | the work is done, its answer cut in the middle |
| `"expired"` | `put`: refused as if the URL's time were over |
| `{"redirect": 302}`, with `"to": URL` if wanted | no work, a redirect to this simulator's `/redirected` |
| `{"early": 403, "body": ""}` | `put`: that answer before the body is read, then the end of the connection |
| `{"trickle": 0.01}` | the work is done, its answer comes byte by byte with such pauses (seconds) |
| `{"error_beside": "text"}` | the work is done, and `errors` stands beside its `data` |
| `"null_data"` | no work, HTTP 200 with `data: null` and no reason |

Clearing the faults, and a stop, end every silence by closing its connection without any further work.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

CALLS = ("open", "put", "register", "create", "message", "query", "get", "token")

_EVERYWHERE = {"status", "delay", "work_then", "reset", "hang", "html", "half", "redirect", "trickle"}
_PUT_ONLY = {"reset_mid_body", "etag", "no_etag", "expired", "early"}
_GRAPHQL_ONLY = {"graphql_error", "error_beside", "null_data"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "status": int,
    "delay": (int, float),
    "graphql_error": str,
    "etag": str,
    "redirect": int,
    "early": int,
    "trickle": (int, float),
    "error_beside": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the script.

    Attributes:
        call: one of `CALLS`, or `any`.
        kind: the word or the key of `do`.
        do: as it was given.
        times: how often it still strikes.
        match: argument name to value, compared as text.
    """

    call: str
    kind: str
    do: str | dict[str, Any]
    times: int
    match: dict[str, Any]

    def fits(self, call: str, facts: Sequence[Mapping[str, Any]]) -> bool:
        """Say whether this rule strikes a call with these arguments."""
        return self.call in {"any", call} and _applies(self.kind, call) and any(map(self._matches, facts))

    def _matches(self, facts: Mapping[str, Any]) -> bool:
        return all(name in facts and str(facts[name]) == str(value) for name, value in self.match.items())

    def shown(self) -> dict[str, Any]:
        """Write the rule as it would be given."""
        return {"call": self.call, "times": self.times, "match": self.match, "do": self.do}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A rule that strikes one call now.

    Attributes:
        released: set when silences shall end.
    """

    kind: str
    do: str | dict[str, Any]
    released: threading.Event


def parse_rule(given: Any) -> Rule:
    """Read one rule from JSON.

    Raises:
        ValueError: it is no rule; the text says why.
    """
    if not isinstance(given, dict):
        raise ValueError("a rule is an object with call, do, times and match")  # noqa: TRY004 - all are ValueError
    unknown = sorted(set(given) - {"call", "do", "times", "match"})
    call, times, match = given.get("call", "any"), given.get("times", 1), given.get("match") or {}
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; a rule has call, do, times and match")
    if call not in (*CALLS, "any"):
        raise ValueError(f"unknown call {call!r}; known are {', '.join(CALLS)} and any")
    if not isinstance(times, int) or times < 1 or not isinstance(match, dict):
        raise ValueError("times is a number of at least 1, match an object")
    kind = _kind(given.get("do"))
    if call != "any" and not _applies(kind, call):
        raise ValueError(f"{kind} cannot happen to {call}")
    return Rule(call=call, kind=kind, do=given["do"], times=times, match=match)


class Faults:
    """The script of one simulator, safe to use from all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._released = threading.Event()
        self._closed = False

    def add(self, rules: Sequence[Rule]) -> None:
        """Append rules to the script."""
        with self._lock:
            self._rules += rules

    def take(self, call: str, facts: Sequence[Mapping[str, Any]]) -> Fault | None:
        """Use up one strike of the first rule that fits."""
        with self._lock:
            place = next((i for i, rule in enumerate(self._rules) if rule.fits(call, facts)), None)
            if place is None or self._closed:
                return None
            rule = self._rules[place]
            self._rules[place : place + 1] = [replace(rule, times=rule.times - 1)] if rule.times > 1 else []
            return Fault(kind=rule.kind, do=rule.do, released=self._released)

    def left(self) -> list[dict[str, Any]]:
        """Give the rules that have not struck as often as they should."""
        with self._lock:
            return [rule.shown() for rule in self._rules]

    def clear(self) -> None:
        """Forget every rule and end every silence."""
        with self._lock:
            self._rules.clear()
            self._release()

    def open(self) -> None:
        """Let rules strike again after `close`."""
        with self._lock:
            self._closed = False

    def close(self) -> None:
        """End every silence, and let no rule strike until `open`."""
        with self._lock:
            self._closed = True
            self._release()

    def _release(self) -> None:
        self._released.set()
        self._released = threading.Event()


def _applies(kind: str, call: str) -> bool:
    if kind in _PUT_ONLY:
        return call == "put"
    return kind not in _GRAPHQL_ONLY or call not in {"put", "get", "token"}


def _kind(do: Any) -> str:
    words = {do} if isinstance(do, str) else set(do) if isinstance(do, dict) else set()
    found = words & (_EVERYWHERE | _PUT_ONLY | _GRAPHQL_ONLY)
    if len(found) != 1:
        raise ValueError(f"do must name exactly one known fault, not {do!r}")
    kind = str(found.pop())
    flaw = _flaw(kind, do)
    if flaw:
        raise ValueError(flaw)
    return kind


def _flaw(kind: str, do: Any) -> str | None:
    needs_value = kind in _TYPES or kind == "work_then"
    if needs_value != isinstance(do, dict):
        return f"{kind} is given as {'an object with its value' if needs_value else 'a plain word'}"
    if not needs_value:
        return None
    if kind in _TYPES and not isinstance(do[kind], _TYPES[kind]):
        return f"the value of {kind} is of the wrong type: {do[kind]!r}"
    if kind == "work_then" and not _is_loss(do[kind]):
        return 'work_then is "reset", "hang" or {"status": 502}'
    return None if isinstance(do.get("headers", {}), dict) else "headers is an object"


def _is_loss(value: Any) -> bool:
    return value in ("reset", "hang") or (isinstance(value, dict) and isinstance(value.get("status"), int))
