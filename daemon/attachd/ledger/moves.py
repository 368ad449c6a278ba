"""The one way in which a delivery moves, with everything that moves along in the same transaction.

Followers: when their elder is done, waiting ones become duplicates; when it is held, they are held behind
it; when it leaves for good without success, they are let go and the next one takes over. Held followers
never jump to `waiting`: they become ready again, and find their place when a worker has them.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from attachd.core.protocols import Change
from attachd.core.states import require_legal
from attachd.ledger.rows import clean, error_columns, to_text, to_text_or_none
from attachd.model import ErrorInfo, ErrorKind, State

FREES = frozenset({State.SUPERSEDED, State.DISMISSED, State.VANISHED, State.DUPLICATE})
"""States of an elder in which its followers no longer wait for it."""

_KEEPS_BYTES = frozenset(State) - {State.SUPERSEDED, State.DISMISSED, State.VANISHED}

_MOVE = """
    UPDATE deliveries SET state = :to_state, run = NULL,
        error_kind = :kind, error_message = :message, error_hint = :hint,
        next_attempt_at = :next_attempt_at, attempts = attempts + :counts, waited = max(0.0, waited + :waits),
        looked = CASE WHEN :from_state IN ('held', 'dismissed') THEN 0.0 ELSE looked + :looks END,
        remote_id = coalesce(:remote_id, remote_id),
        receipts = CASE WHEN :forget_receipts THEN '{}' ELSE receipts END,
        intent = CASE WHEN :close_intent THEN NULL ELSE intent END,
        intent_at = CASE WHEN :close_intent THEN NULL ELSE intent_at END,
        elder_id = :elder_id, bytes_key = CASE WHEN :keep_bytes THEN bytes_key ELSE NULL END,
        detail = :detail, changed_by = :by, updated_at = :at
    WHERE id = :id AND state = :from_state AND run IS :run
"""

_MARK_GONE = """
    UPDATE files SET standing = 'gone', updated_at = ?2
    WHERE (directory_id, name, version) =
        (SELECT directory_id, name, version FROM deliveries WHERE id = ?1)
    AND standing = 'matched'
"""
"""Whatever else became of the version: a file that comes back is a new one, or nobody would look at it."""

_FOLLOWERS = """
    SELECT id, state, run FROM deliveries
    WHERE elder_id = ? AND state IN ('waiting', 'held') AND intent IS NULL ORDER BY id
"""

_GONE = ErrorInfo(
    kind=ErrorKind.UNREADABLE,
    message="the file was gone before it was delivered",
    hint="drop it again, or dismiss this delivery",
)


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Which delivery is meant, and the state and run it must still be in."""

    id: int
    state: State
    run: str | None = None

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Standpoint":
        """Take it from a row with `id`, `state` and `run`."""
        return cls(row["id"], State(row["state"]), row["run"])


def move(
    connection: sqlite3.Connection,
    start: Standpoint,
    change: Change,
    *,
    elder_id: int | None = None,
    keep_bytes: bool = True,
) -> bool:
    """Move a delivery by compare-and-set, and its followers with it. False where somebody was faster.

    Args:
        connection: inside a transaction.
        start: what is moved, from where.
        change: where to, and all that changes with it.
        elder_id: whom it stands behind from now on.
        keep_bytes: False where it is to be identified as if for the first time.

    Raises:
        InvariantBroken: no delivery may ever move like this.
    """
    require_legal(start.state, change.to)
    values = _values(start, change) | {
        "elder_id": elder_id,
        "keep_bytes": keep_bytes and change.to in _KEEPS_BYTES,
    }
    if connection.execute(_MOVE, values).rowcount == 0:
        return False
    if change.to is State.VANISHED:
        connection.execute(_MARK_GONE, (start.id, to_text(change.at)))
    _take_followers_along(connection, start.id, change)
    return True


def _values(start: Standpoint, change: Change) -> dict[str, object]:
    trouble = change.error or (_GONE if change.to is State.VANISHED else None)
    kind, message, hint = error_columns(trouble)
    return {
        "id": start.id,
        "from_state": start.state.value,
        "run": start.run,
        "to_state": change.to.value,
        "kind": kind,
        "message": message,
        "hint": hint,
        "next_attempt_at": to_text_or_none(change.next_attempt_at),
        "counts": int(change.counts),
        "waits": change.waits,
        "looks": change.looks,
        "remote_id": change.remote_id,
        "forget_receipts": change.forget_receipts,
        "close_intent": change.close_intent or change.to is State.DONE,
        "detail": clean(change.detail or (trouble.message if trouble else "")),
        "by": change.by,
        "at": to_text(change.at),
    }


def _take_followers_along(connection: sqlite3.Connection, elder_id: int, change: Change) -> None:
    if change.to not in FREES and change.to not in {State.DONE, State.HELD, State.READY}:
        return
    for row in connection.execute(_FOLLOWERS, (elder_id,)).fetchall():
        _take_along(connection, Standpoint.of(row), elder_id, change)


def _take_along(connection: sqlite3.Connection, follower: Standpoint, elder_id: int, change: Change) -> None:
    if change.to in FREES:
        detail = f"delivery {elder_id} with the same bytes is {change.to}: the next one takes over"
        freed = follow(State.READY, change, detail)
        move(connection, follower, freed, keep_bytes=False)
    elif change.to is State.DONE and follower.state is State.WAITING:
        attached = follow(State.DUPLICATE, change, f"delivery {elder_id} attached the same bytes")
        move(connection, follower, attached, elder_id=elder_id)
    elif change.to is State.HELD and follower.state is State.WAITING:
        behind = follow(State.HELD, change, error=held_behind(elder_id, change.error))
        move(connection, follower, behind, elder_id=elder_id)
    elif change.to is not State.HELD and follower.state is State.HELD:
        again = follow(State.READY, change, f"delivery {elder_id} with the same bytes is {change.to} now")
        move(connection, follower, again, elder_id=elder_id)


def follow(to: State, change: Change, detail: str = "", *, error: ErrorInfo | None = None) -> Change:
    """Make the change of a follower out of its elder's: same time, same hand."""
    return Change(to=to, at=change.at, by=change.by, detail=detail, error=error)


def held_behind(elder_id: int, reason: ErrorInfo | None) -> ErrorInfo:
    """Say why a follower is held: its elder is."""
    because = f": {reason.message}" if reason else ""
    return ErrorInfo(
        kind=ErrorKind.DUPLICATE_OF,
        message=f"delivery {elder_id} has the same bytes for the same target and is held{because}",
        hint=f"put delivery {elder_id} right; this one follows it",
    )


def waits_behind(elder_id: int) -> ErrorInfo:
    """Say why a follower waits: its elder is under way."""
    return ErrorInfo(
        kind=ErrorKind.DUPLICATE_OF,
        message=f"delivery {elder_id} has the same bytes for the same target and goes first",
        hint="nothing to do: once that one is attached, so is this one",
    )


def restart(connection: sqlite3.Connection, row: sqlite3.Row, at: datetime, by: str, detail: str) -> bool:
    """Make a waiting or held delivery ready as a newcomer of its own: it is behind nobody from now on."""
    change = Change(to=State.READY, at=at, by=by, detail=detail, waits=-row["waited"])
    return move(connection, Standpoint.of(row), change, keep_bytes=row["elder_id"] is None)
