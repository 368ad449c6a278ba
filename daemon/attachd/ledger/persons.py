"""A person's word about single deliveries: not needed, attached after all, not attached, send it anew.

Each function is one transaction, by compare-and-set like every other move, from whatever process the person
asks in: a running service meets the result at its next claim.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from attachd.core.afters import AfterState
from attachd.core.protocols import Change
from attachd.ledger.afters import OF_DELIVERY
from attachd.ledger.moves import Standpoint, move
from attachd.ledger.rows import clean, to_text
from attachd.model import Standing, State

_ROW = "SELECT * FROM deliveries WHERE id = ?"

_BEHIND = "SELECT 1 FROM deliveries WHERE elder_id = ? AND state IN ('waiting', 'held') LIMIT 1"

_NEWEST = """
    SELECT version, standing FROM files WHERE directory_id = :directory_id AND name = :name
    ORDER BY version DESC LIMIT 1
"""

_TWIN = """
    SELECT id FROM deliveries WHERE directory_id = :directory_id AND name = :name AND version = :version
    AND rule = :rule AND destination = :destination AND target = :target
    AND state IN ('ready', 'active', 'waiting', 'doubtful', 'held') ORDER BY id LIMIT 1
"""

# Not deduped: the exemption from the same-bytes check goes with this one delivery, not with its rule.
_ANEW = """
    INSERT INTO deliveries (folder_id, directory_id, name, version, rule, destination, target, filename,
        dedupe, state, detail, changed_by, created_at, updated_at)
    SELECT folder_id, directory_id, name, version, rule, destination, target, filename,
        0, 'ready', ?2, ?3, ?4, ?4
    FROM deliveries WHERE id = ?1 RETURNING id
"""

_ACTED = frozenset({AfterState.TAKEN, AfterState.DONE})

_DISMISSABLE = frozenset({State.HELD, State.WAITING, State.VANISHED})
_NOT_DISMISSED = {
    State.READY: "it is on its way; only a held, waiting or vanished one is dismissed",
    State.ACTIVE: "a worker has it right now",
    State.DOUBTFUL: "nobody knows yet whether it is attached: `attachd resolve` settles that",
    State.DONE: "it is attached",
    State.DUPLICATE: "its bytes are attached, by the delivery it follows",
    State.DISMISSED: "it is dismissed already",
    State.SUPERSEDED: "another delivery took over, nothing is left to dismiss",
}

_RESOLVABLE = frozenset({State.DOUBTFUL, State.HELD})
_NOT_RESOLVED = {
    State.READY: "it is on its way, there is no doubt about it",
    State.ACTIVE: "a worker has it right now",
    State.WAITING: "it is tried again by itself, there is no doubt about it",
    State.DONE: "it is attached already",
    State.DUPLICATE: "its bytes are attached already, by the delivery it follows",
    State.DISMISSED: "it is dismissed; `attachd retry ID` takes that back",
    State.SUPERSEDED: "another delivery took over",
    State.VANISHED: "its file was gone before anything was sent; dismiss it, or drop the file again",
}

_NOT_ANEW = {
    State.DUPLICATE: "it was never sent: delivery {elder} attached its bytes, send that one anew",
    State.SUPERSEDED: "another delivery took over; send that one anew",
    State.VANISHED: "its file is gone; drop it again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WordOutcome:
    """What became of a person's word.

    Attributes:
        done: what happened to each delivery, by id.
        refused: why it did not happen to the others, by id.
        unknown: ids that no delivery has.
    """

    done: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Who said it, when, and why; the reason may be empty."""

    at: datetime
    by: str
    reason: str = ""

    def change(self, to: State, what: str, **more: object) -> Change:
        """Make the change to a state, with the reason behind what happened."""
        detail = f"{what}: {self.reason}" if self.reason else what
        return Change(to=to, at=self.at, by=self.by, detail=detail, **more)  # type: ignore[arg-type] # by name


class _Refused(Exception):  # never leaves this module: ends the work on one delivery
    pass


def dismiss(connection: sqlite3.Connection, ids: Sequence[int], word: Word) -> WordOutcome:
    """Say that held, waiting or vanished deliveries are not needed; their followers take over."""

    def one(row: sqlite3.Row) -> str:
        state = State(row["state"])
        if state not in _DISMISSABLE:
            raise _Refused(_NOT_DISMISSED[state])
        if row["intent"] is not None and connection.execute(_BEHIND, (row["id"],)).fetchone():
            raise _Refused(
                f"its call `{row['intent']}` was never answered, and others with the same bytes would be sent"
                " in its place: settle it with `attachd resolve`"
            )
        move(connection, Standpoint.of(row), word.change(State.DISMISSED, "not needed"))
        return "dismissed"

    return _each(connection, ids, one)


def resolve(
    connection: sqlite3.Connection, delivery_id: int, remote_id: str | None, word: Word
) -> WordOutcome:
    """Settle a doubtful or held delivery by a person's word.

    Args:
        connection: inside a transaction.
        delivery_id: which one.
        remote_id: what it is attached as; None: it is not attached and may be sent.
        word: who says so, and why.
    """

    def one(row: sqlite3.Row) -> str:
        if remote_id is None:
            return _not_attached(connection, row, word)
        return _attached(connection, row, remote_id, word)

    return _each(connection, [delivery_id], one)


def send_anew(connection: sqlite3.Connection, ids: Sequence[int], word: Word) -> WordOutcome:
    """Make for each attached delivery a new one of the same file, rule and target; the old ones stay done."""

    def one(row: sqlite3.Row) -> str:
        _require_done(row)
        _require_sendable(connection, row)
        detail = word.change(State.READY, f"sent anew, as delivery {row['id']} was").detail
        values = (row["id"], clean(detail), word.by, to_text(word.at))
        made = connection.execute(_ANEW, values).fetchone()
        return f"goes again as delivery {made['id']}"

    return _each(connection, ids, one)


def _each(
    connection: sqlite3.Connection, ids: Sequence[int], one: Callable[[sqlite3.Row], str]
) -> WordOutcome:
    outcome = WordOutcome()
    for delivery_id in dict.fromkeys(ids):
        row = connection.execute(_ROW, (delivery_id,)).fetchone()
        if row is None:
            outcome.unknown.append(delivery_id)
            continue
        try:
            outcome.done[delivery_id] = one(row)
        except _Refused as refused:
            outcome.refused[delivery_id] = str(refused)
    return outcome


def _attached(connection: sqlite3.Connection, row: sqlite3.Row, remote_id: str, word: Word) -> str:
    state = State(row["state"])
    if state not in _RESOLVABLE:
        raise _Refused(_NOT_RESOLVED[state])
    what = f"attached as {remote_id}, says a person"
    said = word.change(State.DONE, what, remote_id=remote_id, close_intent=True)
    move(connection, Standpoint.of(row), said)
    return f"attached as {remote_id}"


def _not_attached(connection: sqlite3.Connection, row: sqlite3.Row, word: Word) -> str:
    state = State(row["state"])
    # One that was dismissed in doubt has no other way back: retry will not repeat an unanswered call.
    if state not in _RESOLVABLE and not (state is State.DISMISSED and row["intent"]):
        raise _Refused(_NOT_RESOLVED[state])
    if row["elder_id"] is not None and row["intent"] is None:
        raise _Refused(f"delivery {row['elder_id']} with the same bytes goes first: resolve that one")
    said = word.change(
        State.READY, "not attached, says a person", close_intent=True, waits=-float(row["waited"])
    )
    move(connection, Standpoint.of(row), said)
    return "goes again"


def _require_done(row: sqlite3.Row) -> None:
    state = State(row["state"])
    if state is not State.DONE:
        words = _NOT_ANEW.get(state, "it is not attached; without --again, `attachd retry` tries it again")
        raise _Refused(words.format(elder=row["elder_id"]))


def _require_sendable(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    about = dict(row)
    newest = connection.execute(_NEWEST, about).fetchone()
    if newest["version"] != row["version"]:
        raise _Refused("newer bytes lie at its path, and have deliveries of their own")
    if newest["standing"] == Standing.GONE:
        raise _Refused("its file is gone; drop it again")
    after = connection.execute(OF_DELIVERY, (row["id"],)).fetchone()
    if after is not None and after["state"] in _ACTED:
        raise _Refused(f"`after: {after['action']}` has taken its file away; drop it again")
    twin = connection.execute(_TWIN, about).fetchone()
    if twin is not None:
        raise _Refused(f"delivery {twin['id']} sends it anew already")
