"""What the reading commands and the status page ask. Read-only, beside a running service and without one.

Entries come newest change first: one query per state along its index, merged while they are read, so that
asking for fifty of a million reads fifty.
"""

import heapq
import json
import os
import sqlite3
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from attachd.core.paths import escape, unescape
from attachd.core.states import TRANSITIONS
from attachd.errors import LedgerError, UnknownDelivery
from attachd.ledger import afters, rows, tenants
from attachd.ledger.connection import require_readable, require_sqlite, require_there, wrap
from attachd.ledger.evidence import Recorded, recorded
from attachd.ledger.lock import holder_of
from attachd.ledger.readers import ReadPool
from attachd.model import ErrorInfo, Standing, Tenant

WITHOUT_DELIVERY = frozenset({Standing.UNMATCHED.value, Standing.PARKED.value, Standing.EXISTING.value})
"""Standings that are listed like states."""

DELIVERIES = (
    f"{rows.DELIVERY} WHERE d.state = ?1 AND d.updated_at >= ?2"
    " ORDER BY d.updated_at DESC, d.id DESC LIMIT ?3"
)

FILES = """
    SELECT NULL AS id, o.path AS folder, i.path AS directory, f.name, f.version,
        NULL AS rule, NULL AS destination, NULL AS target, NULL AS filename, f.standing AS state,
        NULL AS call, 0 AS attempts, NULL AS remote_id, f.error_kind, f.error_message, f.error_hint,
        f.size, f.sha256, f.first_seen, f.updated_at, NULL AS next_attempt_at
    FROM files f JOIN directories i ON i.id = f.directory_id JOIN folders o ON o.id = i.folder_id
    WHERE f.standing IN ('unmatched', 'parked', 'existing') AND f.standing = ?1 AND f.updated_at >= ?2
    ORDER BY f.updated_at DESC LIMIT ?3
"""

NAMES = """
    SELECT DISTINCT f.name FROM folders o JOIN directories i ON i.folder_id = o.id
    JOIN files f ON f.directory_id = i.id
    WHERE o.path = ? AND i.path = ? AND f.standing <> 'gone'
"""

OLDEST = """
    SELECT min((SELECT d.created_at FROM deliveries d
        WHERE d.folder_id = folders.id AND d.state IN ('ready', 'active', 'waiting', 'doubtful', 'held')
        ORDER BY d.created_at LIMIT 1)) AS oldest
    FROM folders
"""


# A follower stands still as long as its elder does.
LOOKED_FOR = """
    SELECT o.path AS folder, d.destination, d.state, count(*) AS count FROM deliveries d
    JOIN folders o ON o.id = d.folder_id LEFT JOIN deliveries e ON e.id = d.elder_id
    WHERE d.state = 'waiting' AND CASE WHEN e.state = 'waiting'
        THEN e.error_kind = 'no_target_yet' AND e.next_attempt_at > ?1
        ELSE d.error_kind = 'no_target_yet' AND d.next_attempt_at > ?1 END
    GROUP BY d.folder_id, d.destination
"""


FOLLOWERS = """
    SELECT o.path AS folder, d.destination, d.state, count(*) AS count FROM deliveries d
    JOIN folders o ON o.id = d.folder_id LEFT JOIN deliveries e ON e.id = d.elder_id
    WHERE d.state = 'waiting' AND d.next_attempt_at IS NULL
    AND NOT (e.state IS 'waiting' AND e.error_kind IS 'no_target_yet')
    GROUP BY d.folder_id, d.destination
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of `list`: a delivery, or a file without one, whose `id`, `rule`, `destination` … are None."""

    id: int | None
    folder: str
    path: str
    version: int
    rule: str | None
    destination: str | None
    target: Mapping[str, str] | None
    filename: str | None
    state: str
    call: str | None
    attempts: int
    remote_id: str | None
    error: ErrorInfo | None
    size: int
    sha256: str | None
    first_seen: datetime
    updated_at: datetime
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One move of a delivery; `before` is None at its birth."""

    at: datetime
    before: str | None
    after: str
    call: str | None
    detail: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterEntry:
    """What becomes, or became, of a delivery's file; the words of `core.afters`, or `keep` and `none`."""

    action: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many there are of one state; `destination` is None for files without a delivery."""

    folder: str
    destination: str | None
    state: str
    count: int


class Reports:
    """Questions to a ledger, from any thread. Every method raises `LedgerError` where it cannot be read."""

    def __init__(self, readers: ReadPool) -> None:
        self._readers = readers

    @classmethod
    def open(cls, path: str) -> Self:
        """Open a ledger for reading.

        Raises:
            LedgerError: it is missing, is no ledger, or an older attachd wrote it.
            LedgerTooNew: a newer attachd wrote it.
        """
        require_sqlite()
        require_there(path)
        try:
            return cls(_readers(path, "ro"))
        except LedgerError:
            if not _is_at_rest(path):
                raise
            return cls(_readers(path, "immutable"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._readers.close()

    def entries(
        self,
        states: Collection[str] | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        """Stream deliveries and files without one, the latest change first.

        Args:
            states: only these, `unmatched`, `parked` and `existing` among them; None: all.
            since: only what changed at this time or later.
            limit: this many at most.
        """
        wanted = {*TRANSITIONS, *WITHOUT_DELIVERY} if states is None else {str(state) for state in states}
        floor, most = rows.to_text(since) if since else "", -1 if limit is None else limit
        with self._readers.borrow() as connection, ExitStack() as open_streams:
            streams = [
                open_streams.enter_context(closing(_stream(connection, state, floor, most)))
                for state in sorted(wanted)
            ]
            merged = heapq.merge(*streams, key=lambda row: (row["updated_at"], row["id"] or 0), reverse=True)
            for count, row in enumerate(merged):
                if limit is not None and count >= limit:
                    return
                yield _entry(row)

    def entry(self, delivery_id: int) -> Entry:
        """Give one delivery.

        Raises:
            UnknownDelivery: no delivery has this id.
        """
        found = self._ask(rows.DELIVERY + " WHERE d.id = ?", delivery_id)
        if not found:
            raise UnknownDelivery(
                f"no delivery has the id {delivery_id}", hint="`attachd list` shows them with their ids"
            )
        return _entry(found[0])

    def last_id(self) -> int:
        """Give the highest id of a delivery, 0 where there is none."""
        return int(self._ask("SELECT coalesce(max(id), 0) AS last FROM deliveries")[0]["last"])

    def history(self, delivery_id: int) -> list[HistoryRow]:
        """Give every move of one delivery, first to last.

        Raises:
            UnknownDelivery: no delivery has this id.
        """
        self.entry(delivery_id)
        found = self._ask("SELECT * FROM history WHERE delivery_id = ? ORDER BY id", delivery_id)
        return [
            HistoryRow(
                at=rows.to_time(row["at"]),
                before=row["from_state"],
                after=row["to_state"],
                call=row["call"],
                detail=row["detail"],
                by=row["by"],
            )
            for row in found
        ]

    def after_of(self, delivery_id: int) -> AfterEntry:
        """Give the after-action of one delivery's file."""
        found = self._ask(afters.OF_DELIVERY, delivery_id)
        if not found:
            return AfterEntry(action="keep", state="none", detail="the file stays where it is")
        return AfterEntry(action=found[0]["action"], state=found[0]["state"], detail=found[0]["detail"])

    def recorded(self, folder: str, path: str = "") -> Iterator[Recorded]:
        """Stream every version of the files at or below a path of a folder, with their deliveries."""
        return recorded(self._readers, folder, path)

    def looked_for(self, at: datetime) -> list[Count]:
        """Count the waiting deliveries whose target is not there yet, and not looked for again by `at`."""
        return _counts(self._ask(LOOKED_FOR, rows.to_text(at)))

    def names(self, folder: str, directory: str) -> set[str]:
        """Give the names of the files that are known in one directory of a folder and not gone."""
        found = self._ask(NAMES, escape(folder), escape(directory))
        return {unescape(row["name"]) for row in found}

    def counts(self) -> list[Count]:
        """Give how many there are of each state, per folder and destination, without looking at them."""
        found = self._ask(
            "SELECT o.path AS folder, c.destination, c.state, c.count FROM counts c"
            " JOIN folders o ON o.id = c.folder_id WHERE c.count > 0 ORDER BY o.path, c.destination, c.state"
        )
        return _counts(found)

    def followers(self) -> list[Count]:
        """Give how many wait for an elder and not for a time, but for those that `looked_for` counts."""
        return _counts(self._ask(FOLLOWERS))

    def oldest_undelivered(self) -> datetime | None:
        """Give when the oldest delivery that attachd still owes something was recorded, or None."""
        return rows.to_time_or_none(self._ask(OLDEST)[0]["oldest"])

    def other_tenant(self, destination: str, tenant: Tenant) -> Tenant | None:
        """Give the tenant that a destination's name is bound to where that is another one."""
        with self._readers.borrow() as connection:
            return tenants.other_tenant(connection, destination, tenant)

    def facts(self) -> dict[str, Any]:
        """Give what the service last said about itself."""
        return {row["key"]: json.loads(row["value"]) for row in self._ask("SELECT key, value FROM facts")}

    def _ask(self, query: str, *values: object) -> list[dict[str, Any]]:
        with self._readers.borrow() as connection:
            return list(wrap(connection).query(query, values))


def _counts(found: Iterable[Mapping[str, Any]]) -> list[Count]:
    return [
        Count(
            folder=unescape(row["folder"]),
            destination=row["destination"] or None,
            state=row["state"],
            count=row["count"],
        )
        for row in found
    ]


def _stream(
    connection: sqlite3.Connection, state: str, floor: str, most: int
) -> Generator[sqlite3.Row, None, None]:
    query = FILES if state in WITHOUT_DELIVERY else DELIVERIES
    with closing(connection.execute(query, (state, floor, most))) as cursor:
        yield from cursor


def _entry(row: Mapping[str, Any] | sqlite3.Row) -> Entry:
    return Entry(
        id=row["id"],
        folder=unescape(row["folder"]),
        path=rows.join(row["directory"], row["name"]),
        version=row["version"],
        rule=row["rule"],
        destination=row["destination"],
        target=json.loads(row["target"]) if row["target"] else None,
        filename=row["filename"],
        state=row["state"],
        call=row["call"],
        attempts=row["attempts"],
        remote_id=row["remote_id"],
        error=rows.error_of(row),
        size=row["size"],
        sha256=row["sha256"],
        first_seen=rows.to_time(row["first_seen"]),
        updated_at=rows.to_time(row["updated_at"]),
        next_attempt_at=rows.to_time_or_none(row["next_attempt_at"]),
    )


def _readers(path: str, mode: str) -> ReadPool:
    readers = ReadPool(path, mode)
    try:
        with readers.borrow() as connection:
            require_readable(connection, path)
    except LedgerError:
        readers.close()
        raise
    return readers


def _is_at_rest(path: str) -> bool:
    """Say whether a user who may read the ledger, but not write beside it, can still read it.

    A reader of a ledger in WAL makes `-wal` and `-shm` where they are missing. After a clean stop they are,
    and nobody writes: then the file alone holds everything (https://www.sqlite.org/wal.html, section 5).
    """
    wal = Path(f"{path}-wal")
    return not os.access(Path(path).parent, os.W_OK) and not wal.exists() and holder_of(path) is None
