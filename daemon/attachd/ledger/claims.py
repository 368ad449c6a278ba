"""Handing deliveries to workers, and what a worker notes while it has one."""

import sqlite3
from dataclasses import replace
from datetime import datetime

from attachd.core.protocols import Change, Receipt
from attachd.ledger import rows
from attachd.ledger.moves import Standpoint, move
from attachd.model import Delivery, ErrorInfo, ErrorKind, State, Withheld

DUE_AT_ONCE = 1000
"""Waiting deliveries that one claim makes ready at most: the rest is due at the next."""

# The partial indexes are used only where their own condition stands in the query, word for word.
DUE = """
    SELECT id FROM deliveries
    WHERE state = 'waiting' AND next_attempt_at IS NOT NULL AND destination = ? AND next_attempt_at <= ?
    ORDER BY next_attempt_at LIMIT ?
"""

PUT_OFF = """
    SELECT id FROM deliveries
    WHERE state = 'waiting' AND next_attempt_at IS NOT NULL AND destination = ? AND next_attempt_at > ?
    ORDER BY next_attempt_at LIMIT ?
"""

READY = f"""{rows.DELIVERY} WHERE d.id IN (
        SELECT id FROM deliveries WHERE state = 'ready' AND destination = ?1
        AND folder_id NOT IN (SELECT value FROM json_each(?2)) AND id NOT IN (SELECT value FROM json_each(?3))
        ORDER BY updated_at, id LIMIT ?4
    )
"""  # noqa: S608 - two literals

AHEAD = """
    SELECT id FROM deliveries WHERE state = 'ready' AND destination = ? AND updated_at > ?
    ORDER BY updated_at, id LIMIT ?
"""

NEXT_DUE = """
    SELECT next_attempt_at FROM deliveries
    WHERE state = 'waiting' AND next_attempt_at IS NOT NULL AND destination = ?
    ORDER BY next_attempt_at LIMIT 1
"""

# The + keeps SQLite from going through everything in that state instead of through the ids.
_MAKE_READY = """
    UPDATE deliveries
    SET state = 'ready', next_attempt_at = NULL, detail = ?4, changed_by = ?2, updated_at = ?3
    WHERE id IN (SELECT value FROM json_each(?1)) AND +state = 'waiting'
"""

_READY_NOW = "UPDATE deliveries SET updated_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))"

_MAKE_ACTIVE = """
    UPDATE deliveries
    SET state = 'active', run = ?2, detail = 'a worker has it', changed_by = ?2, updated_at = ?3
    WHERE id IN (SELECT value FROM json_each(?1)) AND +state = 'ready'
"""

DOUBTFUL = f"{rows.DELIVERY} WHERE d.state = 'doubtful' AND d.destination = ? ORDER BY d.id"

ABANDONED = "SELECT id, state, run, intent FROM deliveries WHERE state = 'active' AND run <> ? ORDER BY id"

_BEGIN_CALL = "UPDATE deliveries SET call = :call WHERE id = :id AND state = 'active' AND run IS :run"

# A doubtful delivery keeps its intent until it leaves that state: then a `Change` closes it.
_KEEP_RECEIPT = """
    UPDATE deliveries SET receipts = json_set(receipts, '$.' || json_quote(:call), json(:receipt)),
        intent_at = CASE WHEN intent = :call AND state = 'active' THEN NULL ELSE intent_at END,
        intent = CASE WHEN intent = :call AND state = 'active' THEN NULL ELSE intent END
    WHERE id = :id AND state = :state AND run IS :run
"""

_ANNOUNCE = """
    UPDATE deliveries SET call = :call, intent = :call, intent_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = :id AND state = 'active' AND run IS :run
"""


def claim(
    connection: sqlite3.Connection,
    destination: str,
    run: str,
    at: datetime,
    limit: int,
    *,
    withheld: Withheld,
) -> list[Delivery]:
    """Make active at most `limit` of the ready deliveries: the longest ready first."""
    left_out = rows.id_list(sorted(withheld.folders)), rows.id_list(sorted(withheld.deliveries))
    ready = [rows.delivery(row) for row in connection.execute(READY, (destination, *left_out, limit))]
    if not ready:
        return []
    ready.sort(key=lambda each: (each.updated_at, each.id))
    now = rows.to_text(at)
    connection.execute(_MAKE_ACTIVE, (rows.id_list([each.id for each in ready]), run, now))
    return [
        replace(each, state=State.ACTIVE, run=run, updated_at=rows.to_time(now), ready_since=each.updated_at)
        for each in ready
    ]


def make_due_ready(
    connection: sqlite3.Connection, destination: str, run: str, at: datetime, latest: datetime | None
) -> None:
    """Make ready what waited for its time, and what is put off beyond `latest` by a wrong clock."""
    now = rows.to_text(at)
    if latest is not None:
        _put_right(connection, destination, run, now, rows.to_text(latest))
    # Withheld or not: a delivery that stayed due would have its time asked for again and again.
    found = _ids(connection, DUE, (destination, now, DUE_AT_ONCE))
    if found:
        connection.execute(_MAKE_READY, (rows.id_list(found), run, now, "its time has come"))


def _put_right(connection: sqlite3.Connection, destination: str, run: str, now: str, latest: str) -> None:
    """Bring back what a clock that was put back since has put off; all of it keeps its order."""
    ahead = _ids(connection, AHEAD, (destination, latest, DUE_AT_ONCE))
    if ahead:  # else whoever became ready after the jump, such as a probe, would go before them for ever
        connection.execute(_READY_NOW, (rows.id_list(ahead), now))
    put_off = _ids(connection, PUT_OFF, (destination, latest, DUE_AT_ONCE))
    if put_off:
        why = "the clock was put back: its time would not come"
        connection.execute(_MAKE_READY, (rows.id_list(put_off), run, now, why))


def next_due(connection: sqlite3.Connection, destination: str) -> datetime | None:
    """Give the earliest time at which a waiting delivery is looked at again."""
    row = connection.execute(NEXT_DUE, (destination,)).fetchone()
    return rows.to_time(row["next_attempt_at"]) if row else None


def doubtful(connection: sqlite3.Connection, destination: str) -> list[Delivery]:
    """Give the deliveries whose last call was never answered, oldest first."""
    return [rows.delivery(row) for row in connection.execute(DOUBTFUL, (destination,))]


def begin_call(connection: sqlite3.Connection, delivery: Delivery, call: str) -> None:
    """Note which call is under way."""
    connection.execute(_BEGIN_CALL, _about(delivery, call))


def record_receipt(connection: sqlite3.Connection, delivery: Delivery, call: str, receipt: Receipt) -> None:
    """Keep what a finished call returned; an intent for this call is answered by it."""
    values = {"receipt": rows.to_json(dict(receipt)), "state": delivery.state.value}
    connection.execute(_KEEP_RECEIPT, _about(delivery, call) | values)


def record_intent(connection: sqlite3.Connection, delivery: Delivery, call: str) -> bool:
    """Announce a call that must not be repeated blindly. False: the row is not ours any more."""
    return connection.execute(_ANNOUNCE, _about(delivery, call)).rowcount == 1


def recover(connection: sqlite3.Connection, run: str, at: datetime) -> dict[State, int]:
    """Take over what other runs left active; give how many became ready and how many doubtful."""
    moved = {State.READY: 0, State.DOUBTFUL: 0}
    for row in connection.execute(ABANDONED, (run,)).fetchall():
        change = _recovered(row["intent"], at)
        moved[change.to] += move(connection, Standpoint.of(row), change)
    return moved


def _recovered(intent: str | None, at: datetime) -> Change:
    if intent is None:
        return Change(to=State.READY, at=at, by="recover", detail="the service stopped while a worker had it")
    lost = ErrorInfo(
        kind=ErrorKind.UNKNOWN_OUTCOME,
        message=f"the service stopped while the answer to `{intent}` was awaited",
        hint="attachd asks the destination whether it took effect; where it cannot tell, look there",
    )
    return Change(to=State.DOUBTFUL, at=at, by="recover", error=lost)


def _about(delivery: Delivery, call: str) -> dict[str, object]:
    return {"id": delivery.id, "run": delivery.run, "call": call}


def _ids(connection: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[int]:
    return [row["id"] for row in connection.execute(query, values)]
