"""A copy of a ledger to try things out on; the ledger itself is only read."""

from contextlib import closing
from pathlib import Path

from attachd.ledger.connection import connect
from attachd.ledger.faults import explained
from attachd.ledger.store import SqliteLedger

_DUE_NOW = """
    UPDATE deliveries SET next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE state = 'waiting' AND next_attempt_at IS NOT NULL AND error_kind <> 'no_target_yet'
"""


def copy_of(path: str, place: str) -> SqliteLedger:
    """Open a copy of a ledger as it is at this moment, or a new one where there is none.

    What waits for its next attempt is due at once in the copy. Only what waits for a target still does: it
    is not there, and nobody asks for it here.

    Args:
        path: of the ledger; may be in use.
        place: of the copy, where nothing is yet.

    Raises:
        LedgerError: the ledger cannot be read, or the copy not be written.
    """
    if Path(path).exists():
        # One read transaction, so the copy is of one moment (sqlite.org/lang_vacuum.html#vacuuminto).
        with explained(path), closing(connect(path, "ro")) as connection:
            connection.execute("VACUUM INTO ?", (place,))
        SqliteLedger.open(place, create=False).close()  # an older ledger is brought up to date in the copy
        with explained(place), closing(connect(place, "rw")) as connection:
            connection.execute(_DUE_NOW)
    return SqliteLedger.open(place, create=True)
