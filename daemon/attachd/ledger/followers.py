"""Finding a delivery's place among those with the same bytes and the same target.

Of those that are under way, held or done, at most one is nobody's follower: the elder. Whoever is let go
loses its `bytes_key`, so that it is a newcomer when a worker identifies it again. A follower that became
ready because its elder did remembers the elder until then: it goes back behind it and, unlike a file that
was dropped again, does not stir up an elder that is held once more.
"""

import sqlite3
from datetime import datetime

from attachd.core.protocols import Change, Place
from attachd.ledger.moves import Standpoint, held_behind, move, restart, waits_behind
from attachd.ledger.rows import error_of
from attachd.model import Delivery, State

_BEFORE_US = (State.DONE, State.ACTIVE, State.READY, State.WAITING, State.DOUBTFUL, State.HELD)

_IN_STATE = """
    SELECT * FROM (SELECT id, state, run, intent, elder_id, waited, error_kind, error_message, error_hint
    FROM deliveries WHERE bytes_key IS NOT NULL AND bytes_key = ?1 AND destination = ?2 AND target = ?3
    AND state = '{state}' AND id <> ?4 {nobody_s_follower} ORDER BY id LIMIT 1)
"""

# State by state, and no further than the first that has one: a state may have thousands with the same bytes.
SAME_BYTES = (
    " UNION ALL ".join(
        _IN_STATE.format(state=state, nobody_s_follower="" if state is State.DONE else "AND elder_id IS NULL")
        for state in _BEFORE_US
    )
    + " LIMIT 1"
)


def identify(connection: sqlite3.Connection, delivery: Delivery, sha256: str, at: datetime, by: str) -> Place:
    """Record the hash of an active delivery's file and find its place."""
    row = _note_hash(connection, delivery, sha256)
    if row is None:
        return Place.FOLLOWS
    elder = _elder(connection, row) if row["bytes_key"] else None
    if elder is None:
        if row["elder_id"] is not None:
            connection.execute("UPDATE deliveries SET elder_id = NULL WHERE id = ?", (delivery.id,))
        return Place.FIRST
    if elder["state"] == State.DONE:
        attached = Change(
            to=State.DUPLICATE, at=at, by=by, detail=f"delivery {elder['id']} attached the same bytes"
        )
        move(connection, Standpoint.of(row), attached, elder_id=elder["id"])
        return Place.ATTACHED
    _stand_behind(connection, row, elder, at, by)
    return Place.FOLLOWS


def _note_hash(connection: sqlite3.Connection, delivery: Delivery, sha256: str) -> sqlite3.Row | None:
    size = delivery.signs.size
    key = None if not delivery.dedupe else sha256 if size else f"{sha256}:{delivery.filename}"
    noted: list[sqlite3.Row] = connection.execute(
        "UPDATE deliveries SET bytes_key = ? WHERE id = ? AND state = 'active' AND run IS ? RETURNING *",
        (key, delivery.id, delivery.run),
    ).fetchall()
    if not noted:
        return None
    [row] = noted
    connection.execute(
        "UPDATE files SET sha256 = ? WHERE directory_id = ? AND name = ? AND version = ? AND sha256 IS NULL",
        (sha256, row["directory_id"], row["name"], row["version"]),
    )
    return row


def _elder(connection: sqlite3.Connection, row: sqlite3.Row) -> sqlite3.Row | None:
    about = (row["bytes_key"], row["destination"], row["target"], row["id"])
    found: sqlite3.Row | None = connection.execute(SAME_BYTES, about).fetchone()
    return found


def _stand_behind(
    connection: sqlite3.Connection, row: sqlite3.Row, elder: sqlite3.Row, at: datetime, by: str
) -> None:
    if elder["state"] == State.HELD and not _stir(connection, row, elder, at, by):
        error, to = held_behind(elder["id"], error_of(elder)), State.HELD
    else:
        error, to = waits_behind(elder["id"]), State.WAITING
    behind = Change(to=to, at=at, by=by, error=error)
    move(connection, Standpoint.of(row), behind, elder_id=elder["id"])


def _stir(
    connection: sqlite3.Connection, row: sqlite3.Row, elder: sqlite3.Row, at: datetime, by: str
) -> bool:
    if elder["intent"] is not None or row["elder_id"] == elder["id"]:
        return False
    return restart(connection, elder, at, by, "the same bytes were dropped again")
