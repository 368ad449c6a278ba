"""Judging anew: streams what is not delivered yet, and writes what other rules make of it.

The decision itself is `core.replanning`'s. It is made a second time here, inside the transaction and on what
the rows say then: a worker or a person may have been faster since they were read.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from attachd.core.protocols import Change, NewVersion
from attachd.core.replanning import Judgement, Replan, replan
from attachd.ledger import afters, files, rows
from attachd.ledger.moves import Standpoint, move
from attachd.ledger.readers import ReadPool
from attachd.model import Delivery, ErrorInfo, FileVersion, Standing, State

PAGE = 500
"""Rows read at a time: no read stays open while files are judged."""

UNDELIVERED_PAGE = """
    SELECT d.created_at, d.id FROM deliveries d
    WHERE d.state IN ('ready', 'active', 'waiting', 'doubtful', 'held') AND d.folder_id = ?1
    AND (d.created_at, d.id) > (?2, ?3) ORDER BY d.created_at, d.id LIMIT ?4
"""

_SIBLINGS = f"""
    {rows.DELIVERY} WHERE d.id IN (SELECT s.id FROM json_each(?) JOIN deliveries p ON p.id = value
        JOIN deliveries s ON s.directory_id = p.directory_id AND s.name = p.name AND s.version = p.version)
    ORDER BY i.path, d.name, d.version, d.id
"""  # noqa: S608 - two literals

_OF_VERSION = f"{rows.DELIVERY} WHERE d.directory_id = ? AND d.name = ? AND d.version = ? ORDER BY d.id"

_ROW = "SELECT id, state, run, intent, elder_id, error_kind FROM deliveries WHERE id = ?"

UNMATCHED_PAGE = """
    SELECT f.*, i.path AS directory FROM files f JOIN directories i ON i.id = f.directory_id
    WHERE f.standing IN ('unmatched', 'parked', 'existing') AND f.standing = 'unmatched'
    AND i.folder_id = ?1 AND f.error_kind = 'no_rule'
    AND (f.updated_at, f.directory_id, f.name) > (?2, ?3, ?4)
    ORDER BY f.updated_at, f.directory_id, f.name LIMIT ?5
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeliveredFile:
    """A file version of which something is not delivered yet, with all its deliveries, oldest first."""

    version: FileVersion
    deliveries: tuple[Delivery, ...]


@dataclass(slots=True, kw_only=True)
class ReplanOutcome:
    """How many were superseded, held, released and added, and how many files are unmatched, taken, parked.

    `active` are deliveries that a worker has: they are to be judged when they have come to rest.
    """

    superseded: int = 0
    held: int = 0
    released: int = 0
    added: int = 0
    unmatched: int = 0
    matched: int = 0
    parked: int = 0
    destinations: set[str] = field(default_factory=set)
    active: set[int] = field(default_factory=set)


def undelivered(pool: ReadPool, folder_id: int) -> Iterator[list[UndeliveredFile]]:
    """Stream a folder's undelivered files, page by page; a file with deliveries in two pages comes twice."""
    after = ("", 0)
    while True:
        with pool.borrow() as connection:
            page = connection.execute(UNDELIVERED_PAGE, (folder_id, *after, PAGE)).fetchall()
            ids = rows.id_list([row["id"] for row in page])
            found = [rows.delivery(row) for row in connection.execute(_SIBLINGS, (ids,))]
        yield [_file(list(group)) for _, group in groupby(found, key=lambda each: (each.path, each.version))]
        if len(page) < PAGE:
            return
        after = (page[-1]["created_at"], page[-1]["id"])


def undelivered_again(pool: ReadPool, delivery_ids: Sequence[int]) -> list[UndeliveredFile]:
    """Give the files of these deliveries as they stand now."""
    with pool.borrow() as connection:
        found = [rows.delivery(row) for row in connection.execute(_SIBLINGS, (rows.id_list(delivery_ids),))]
    return [_file(list(group)) for _, group in groupby(found, key=lambda each: (each.path, each.version))]


def _file(deliveries: list[Delivery]) -> UndeliveredFile:
    first = deliveries[0]
    version = FileVersion(
        folder_id=first.folder_id,
        path=first.path,
        version=first.version,
        signs=first.signs,
        standing=Standing.MATCHED,
        sha256=first.sha256,
        first_seen=first.first_seen,
    )
    return UndeliveredFile(version=version, deliveries=tuple(deliveries))


def unmatched(pool: ReadPool, folder_id: int) -> Iterator[list[FileVersion]]:
    """Stream the files that no rule took, page by page."""
    after: tuple[object, ...] = ("", 0, "")
    while True:
        with pool.borrow() as connection:
            page = connection.execute(UNMATCHED_PAGE, (folder_id, *after, PAGE)).fetchall()
        yield [rows.file_version(row, folder_id, rows.join(row["directory"], row["name"])) for row in page]
        if len(page) < PAGE:
            return
        after = (page[-1]["updated_at"], page[-1]["directory_id"], page[-1]["name"])


def match(connection: sqlite3.Connection, found: Sequence[NewVersion], at: datetime) -> ReplanOutcome:
    """Record what rules take now, parked or not; one that is not unmatched, or not the same, is left."""
    outcome = ReplanOutcome()
    for new in found:
        latest = files.latest(connection, new.folder_id, new.path)
        if latest and latest.standing is Standing.UNMATCHED and latest.signs == new.signs:
            outcome.matched += new.standing is not Standing.PARKED
            outcome.parked += new.standing is Standing.PARKED
            outcome.added += len(files.record(connection, new, at))
            outcome.destinations |= {plan.destination for plan in new.planned}
    return outcome


def write(
    connection: sqlite3.Connection,
    judged: Sequence[tuple[FileVersion, Judgement]],
    at: datetime,
    by: str,
) -> ReplanOutcome:
    """Write what becomes of these files; a file without any change costs nothing."""
    writing = _Writing(connection, at, by)
    for version, judgement in judged:
        writing.file(version, judgement)
    return writing.outcome


@dataclass(slots=True)
class _Writing:
    """One transaction's judging anew."""

    connection: sqlite3.Connection
    at: datetime
    by: str
    outcome: ReplanOutcome = field(default_factory=ReplanOutcome)

    def file(self, version: FileVersion, judgement: Judgement) -> None:
        """Judge one file and write what changes."""
        place = files.place_of(self.connection, version.folder_id, version.path)
        newest = files.latest(self.connection, version.folder_id, version.path)
        if not place or not newest:
            return
        if newest.version != version.version and judgement.folder_is_known:
            return  # newer bytes are there: whoever has the old ones finds out
        key = (*place, version.version)
        found = [rows.delivery(row) for row in self.connection.execute(_OF_VERSION, key)]
        self.outcome.active |= {each.id for each in found if each.state is State.ACTIVE}
        change = replan(found, judgement)
        self._end(change)
        self._add(version, key, change, judgement)
        self._release(place, change)

    def _end(self, change: Replan) -> None:
        for delivery_id, detail in change.superseded.items():
            self.outcome.superseded += self._move(delivery_id, State.SUPERSEDED, detail)
        for delivery_id, error in change.held.items():
            self.outcome.held += self._move(delivery_id, State.HELD, error.message, error)

    def _add(
        self, version: FileVersion, key: tuple[int, str, int], change: Replan, judgement: Judgement
    ) -> None:
        if not change.unmatched and not change.added:
            return
        wanted = files.without_ignored(
            self.connection,
            key[:2],
            NewVersion(
                folder_id=version.folder_id,
                path=version.path,
                signs=version.signs,
                standing=_standing(change, judgement),
                reason=judgement.reason if change.unmatched else None,
                planned=change.added,
            ),
        )
        for plan in wanted.planned:
            files.add(
                self.connection, version.folder_id, key, plan, self.at, by=self.by, detail="other rules"
            )
            self.outcome.destinations.add(plan.destination)
        afters.plan(self.connection, version.folder_id, key, judgement.after, self.at)
        self.outcome.added += len(wanted.planned)
        if change.unmatched:
            files.leave(self.connection, key, wanted, self.at)
            self.outcome.unmatched += wanted.standing is Standing.UNMATCHED
            self.outcome.parked += wanted.standing is Standing.PARKED

    def _release(self, place: tuple[int, str], change: Replan) -> None:
        versions = files.versions_of(self.connection, place) if change.counted else 0
        allowed = [each for each, most in change.counted.items() if most == 0 or versions <= most]
        for delivery_id in (*change.released, *allowed):
            moved = self._move(delivery_id, State.READY, "rules.yaml was put right")
            self.outcome.released += moved

    def _move(self, delivery_id: int, to: State, detail: str, error: ErrorInfo | None = None) -> bool:
        # Read anew: what moved before may have taken this one along, as its follower.
        row = self.connection.execute(_ROW, (delivery_id,)).fetchone()
        start = Standpoint.of(row)
        if row["intent"] is not None or start.state in {State.ACTIVE, to}:
            return False
        change = Change(to=to, at=self.at, by=self.by, detail=detail, error=error)
        return move(self.connection, start, change, keep_bytes=row["elder_id"] is None)


def _standing(change: Replan, judgement: Judgement) -> Standing:
    if not change.unmatched:
        return Standing.MATCHED
    return Standing.PARKED if judgement.is_parked else Standing.UNMATCHED
