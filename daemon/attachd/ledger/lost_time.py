"""The time a ledger knows nothing of, because it was put back from a copy.

What was attached between the copy and the start that follows it is known to the destinations alone. So
everything that is not attached by the copy's account, and every file that lay there at that start and is new
to it, is held as `unknown_outcome`, with an intent for a call nobody knows: it is sent by a person's word
(`resolve`, or `retry` with `on_doubt: retry`), and never by itself.
"""

import sqlite3
from datetime import datetime

from attachd.core.states import UNKNOWN_CALL
from attachd.ledger.rows import to_text

LOST_TIME_TABLE = """
    CREATE TABLE lost_time (
        id INTEGER PRIMARY KEY,
        since TEXT NOT NULL,
        until TEXT,
        until_ns INTEGER,
        CONSTRAINT ends_in_both_units CHECK ((until IS NULL) = (until_ns IS NULL))
    ) STRICT
"""
"""A copy says `since` when, and the first start on it `until` when. Else there is no row."""

_END = "UPDATE lost_time SET until = ?, until_ns = ? WHERE until IS NULL RETURNING since"

_LAST_SIGN = """
    SELECT max(at) FROM (SELECT max(updated_at) AS at FROM facts UNION ALL SELECT max(started_at) FROM runs)
"""

_DOUBT = """
    UPDATE deliveries SET {state} run = NULL, elder_id = NULL, next_attempt_at = NULL, receipts = '{{}}',
        intent = :call, intent_at = :at, error_kind = 'unknown_outcome', error_message = :message,
        error_hint = :hint, detail = :message, changed_by = :by, updated_at = :at
    WHERE {which}
"""

_DOUBT_UNDER_WAY = _DOUBT.format(
    state="state = 'held',", which="state IN ('ready', 'active', 'waiting', 'doubtful')"
)
_DOUBT_HELD = _DOUBT.format(state="", which="state = 'held' AND intent IS NOT :call")
_DOUBT_ONE = _DOUBT.format(state="state = 'held',", which="id = :id AND state = 'ready'")

_LOST = """
    SELECT since, until FROM lost_time, files
    WHERE ctime_ns < until_ns AND directory_id = ? AND name = ? AND version = ? ORDER BY id LIMIT 1
"""

_HINT = (
    "look for it at the destination, then `attachd resolve ID --attached REMOTE_ID`, or `--not-attached` to"
    " have it sent; docs/ledger.md says how to decide about many at once"
)


def notice(connection: sqlite3.Connection, former: str) -> None:
    """Note that the ledger went back in time where it does not know the run that had its lock last.

    That is what any copy but attachd's own looks like; it is as old as its last sign of life.
    """
    number = former.removeprefix("run ")
    if (
        not number.isdigit()
        or connection.execute("SELECT 1 FROM runs WHERE id >= ?", (int(number),)).fetchone()
    ):
        return
    since = connection.execute(_LAST_SIGN).fetchone()[0]
    connection.execute("INSERT INTO lost_time (since) VALUES (coalesce(?, ''))", (since,))


def end(connection: sqlite3.Connection, at: datetime) -> int | None:
    """Close the lost time at a start and hold all that is in doubt by it.

    Give how many deliveries that is, or None where the ledger was not put back.
    """
    until = int(at.timestamp()) * 10**9 + at.microsecond * 1000
    ended = connection.execute(_END, (to_text(at), until)).fetchall()
    if not ended:
        return None
    values = _values(min(row["since"] for row in ended), to_text(at), at, "restore")
    held = connection.execute(_DOUBT_UNDER_WAY, values).rowcount
    return held + connection.execute(_DOUBT_HELD, values).rowcount


def doubt(
    connection: sqlite3.Connection, delivery_id: int, key: tuple[int, str, int], at: datetime, by: str
) -> bool:
    """Hold a new delivery of a file version that lay there in the lost time; False where it did not."""
    lost = connection.execute(_LOST, key).fetchone()
    if lost is None:
        return False
    values = _values(lost["since"], lost["until"], at, by) | {"id": delivery_id}
    connection.execute(_DOUBT_ONE, values)
    return True


def _values(since: str, until: str, at: datetime, by: str) -> dict[str, object]:
    message = (
        f"the ledger was put back from a copy of {since}: it does not know what was attached until {until},"
        " and this file may have been"
    )
    return {"call": UNKNOWN_CALL, "at": to_text(at), "message": message, "hint": _HINT, "by": by}
