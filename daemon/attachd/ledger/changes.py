"""A worker's or a person's change of one delivery."""

import sqlite3

from attachd.core.protocols import Change
from attachd.errors import InvariantBroken
from attachd.ledger.moves import Standpoint, move
from attachd.model import Delivery, State

NEWER = """
    SELECT 1 FROM directories i JOIN files f ON f.directory_id = i.id
    WHERE i.folder_id = ? AND i.path = ? AND f.name = ? AND f.version > ?
    AND (f.standing IN ('matched', 'existing') OR (f.standing = 'unmatched' AND f.error_kind = 'no_rule'))
    LIMIT 1
"""
"""A newer version that was judged: delivered, or not wanted by the rules in force. A parked one may be."""


def change(connection: sqlite3.Connection, delivery: Delivery, wanted: Change) -> bool:
    """Move a delivery from the state and run it was read in; False where somebody was faster.

    A follower that is moved by itself is behind nobody from then on.

    Raises:
        InvariantBroken: the move is not legal, or `done` comes without a remote id.
    """
    if wanted.to is State.DONE and not (wanted.remote_id or delivery.remote_id):
        raise InvariantBroken(f"delivery {delivery.id} cannot be done without a remote id")
    row = connection.execute("SELECT elder_id FROM deliveries WHERE id = ?", (delivery.id,)).fetchone()
    start = Standpoint(delivery.id, delivery.state, delivery.run)
    # What is done keeps its bytes' name, follower or not: it is the one that others are duplicates of.
    keep_bytes = row is not None and (row["elder_id"] is None or wanted.to is State.DONE)
    return move(connection, start, wanted, keep_bytes=keep_bytes)
