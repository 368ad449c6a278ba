"""Runs lookups: asks their queries in a row, and remembers for a short time which entity they led to.

What an answer means is decided in `core.lookups`; this module only asks, pages and puts into words.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from attachd.core.lookups import (
    CURSOR,
    ENTITY,
    Found,
    Lookup,
    NoTarget,
    Outcome,
    Query,
    SeveralTargets,
    choose,
    describe,
    next_cursor,
)
from attachd.core.sentences import quoted
from attachd.destinations.entities import EntityIds, Key
from attachd.destinations.flights import Flights
from attachd.destinations.graphql import GraphQL
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity

KEPT_FOR = 60.0
"""Seconds for which an entity that was found is believed; that none was found is not remembered at all."""

MOST_PAGES = 50
"""Pages of one query that are read: what needs more has filters that are too wide."""

_NOT_THERE = (
    "is the path right, and is the object in ION by now, visible to this account? "
    "Then `attachd retry ID`, or correct the path"
)
_SEVERAL = (
    "narrow the lookup in rules.yaml until one is left (a serial number is unique for each part only), or "
    "put right in ION what is there twice; then `attachd retry ID`"
)
_REFUSED = (
    "`attachd check --online` compares the query in rules.yaml with ION's schema; correct it, then "
    "`attachd retry ID`"
)
_HINTS = {
    ErrorKind.NO_TARGET_YET: _NOT_THERE,
    ErrorKind.REJECTED: _REFUSED,
    ErrorKind.PERMISSION: "give attachd's account the right to read what the lookup asks for; "
    "then `attachd retry ID`",
}
_MISSING = "correct `target` and `lookups` in rules.yaml; then `attachd retry ID`"


class Lookups:
    """The lookups of one destination. Used by many workers at once; those with one target ask once.

    Args:
        lookups: by name.
        graphql: asks the queries.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self, lookups: Mapping[str, Lookup], graphql: GraphQL, monotonic: Callable[[], float]
    ) -> None:
        self._lookups = lookups
        self._graphql = graphql
        self._found = EntityIds(monotonic, kept_for=KEPT_FOR)
        self._flights = Flights[str]()

    def entity_of(self, target: Mapping[str, str]) -> str:
        """Find the entity that a target leads to: `lookup`, and the values that the lookup starts from.

        Raises:
            Trouble: `no_target_yet`, `several_targets`, the lookup does not fit what is there, or ION did
                not answer.
        """
        key = _key(target)
        return self._found.get(key) or self._flights.share(key[1], lambda: self._find(key, target))

    def forget(self, target: Mapping[str, str]) -> None:
        """Drop what was found for a target: it turned out to be wrong."""
        self._found.forget(_key(target))

    def _find(self, key: Key, target: Mapping[str, str]) -> str:
        entity_id = self._walk(self._lookup(target), target)
        self._found.keep(key, entity_id)
        return entity_id

    def _lookup(self, target: Mapping[str, str]) -> Lookup:
        name = target["lookup"]
        lookup = self._lookups.get(name)
        if lookup is None:
            raise _trouble(ErrorKind.CONFIG, f"rules.yaml has no lookup {quoted(name)} for this", _MISSING)
        missing = [each for each in lookup.names if each not in target]
        if missing:
            what = f"lookup {quoted(name)} starts from {', '.join(missing)}, which the target does not have"
            raise _trouble(ErrorKind.CONFIG, what, _MISSING)
        return lookup

    def _walk(self, lookup: Lookup, target: Mapping[str, str]) -> str:
        known = dict(target)
        for number, query in enumerate(lookup.queries, 1):
            where = f"lookup {quoted(lookup.name)}, query {number} of {len(lookup.queries)}"
            known |= _values(self._ask(query, known, where), f"{where}: ", describe(query, known))
        return known[ENTITY]

    def _ask(self, query: Query, known: Mapping[str, str], where: str) -> Outcome:
        variables: dict[str, Any] = {**query.variables_for(known)}
        answers = []
        for _ in range(MOST_PAGES):
            answers.append(self._answer(query, variables, where))
            cursor = next_cursor(answers[-1]) if query.is_paged else None
            if cursor is None:
                break
            variables[CURSOR] = cursor
        return choose(query, answers, known)

    def _answer(self, query: Query, variables: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        try:
            return self._graphql.ask(query.document, variables).data
        except Trouble as trouble:
            if trouble.severity is not Severity.LASTING:
                raise
            unknown = trouble.kind is ErrorKind.UNKNOWN_TARGET
            kind = ErrorKind.NO_TARGET_YET if unknown else trouble.kind
            hint = _HINTS.get(kind, trouble.hint)
            raise _trouble(kind, f"{where}: {trouble.message}", hint) from None


def _values(outcome: Outcome, where: str, asked: str) -> Mapping[str, str]:
    if isinstance(outcome, Found):
        return outcome.values
    if isinstance(outcome, NoTarget):
        none = f"none of {outcome.rows} rows is the one" if outcome.rows else "nothing is there yet"
        raise _trouble(ErrorKind.NO_TARGET_YET, f"{where}{none} for {asked}", _NOT_THERE)
    if isinstance(outcome, SeveralTargets):
        count = len(outcome.listed) + outcome.more
        listed = "; ".join(outcome.listed) + (f"; and {outcome.more} more" if outcome.more else "")
        raise _trouble(ErrorKind.SEVERAL_TARGETS, f"{where}{count} rows for {asked}: {listed}", _SEVERAL)
    raise _trouble(ErrorKind.CONFIG, f"{where}{outcome.why}", outcome.hint)


def _trouble(kind: ErrorKind, message: str, hint: str) -> Trouble:
    return Trouble(kind, Severity.LASTING, message, hint=hint)


def _key(target: Mapping[str, str]) -> Key:
    return "lookup", json.dumps(dict(target), sort_keys=True)
