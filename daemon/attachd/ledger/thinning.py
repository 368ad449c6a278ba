"""Thins what the ledger says of deliveries that ended long ago: of their history only the last step stays.

Everything that decides anything stays as it is: the file version with its signs and its hash, the delivery
with its target, its remote id and its receipts. So nothing that was uploaded is forgotten. How far the
thinning has come is kept for each state: a delivery that goes on later ends later, and is met again.
"""

import sqlite3
from datetime import datetime

from attachd.ledger import rows
from attachd.model import State

THINNED = (State.DONE, State.DUPLICATE, State.DISMISSED, State.SUPERSEDED)
"""The states of deliveries that nobody waits for any more."""

BATCH = 200
"""Deliveries that are thinned in one transaction: a few milliseconds in which nobody else writes."""

THINNING_TABLE = """
    CREATE TABLE thinning (
        state TEXT PRIMARY KEY,
        updated_at TEXT NOT NULL,
        delivery_id INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
"""

ENDED = """
    SELECT id, updated_at FROM deliveries
    WHERE state = ?1 AND updated_at < ?2 AND (updated_at, id) > (?3, ?4)
    ORDER BY updated_at, id LIMIT ?5
"""

FORGET = """
    DELETE FROM history WHERE delivery_id IN (SELECT value FROM json_each(?1))
    AND id < (SELECT max(later.id) FROM history later WHERE later.delivery_id = history.delivery_id)
"""

_FROM = "SELECT updated_at, delivery_id FROM thinning WHERE state = ?"

_REMEMBER = """
    INSERT INTO thinning (state, updated_at, delivery_id) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET updated_at = excluded.updated_at, delivery_id = excluded.delivery_id
"""


def thin(connection: sqlite3.Connection, before: datetime) -> bool:
    """Thin a batch of deliveries that ended before a time; False where none is left. In a transaction."""
    return any(_thin(connection, state.value, rows.to_text(before)) for state in THINNED)


def _thin(connection: sqlite3.Connection, state: str, before: str) -> bool:
    mark = connection.execute(_FROM, (state,)).fetchone() or ("", 0)
    ended = connection.execute(ENDED, (state, before, *mark, BATCH)).fetchall()
    if not ended:
        return False
    connection.execute(FORGET, (rows.id_list([row["id"] for row in ended]),))
    connection.execute(_REMEMBER, (state, ended[-1]["updated_at"], ended[-1]["id"]))
    return True
