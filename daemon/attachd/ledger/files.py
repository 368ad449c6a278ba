"""What the ledger remembers of file versions. Functions that write are called inside a transaction."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from attachd.core.protocols import Change, NewVersion
from attachd.core.sentences import quoted
from attachd.core.states import is_legal
from attachd.ledger import afters, lost_time, rows
from attachd.ledger.moves import Standpoint, move, restart
from attachd.model import ErrorInfo, ErrorKind, FileVersion, PlannedDelivery, Signs, Standing, State

_NOTES = frozenset({Standing.UNMATCHED, Standing.PARKED})
"""Standings of a version that is judged again in place, and forgotten when it is gone."""

_OF_PATH = """
    SELECT id, state, run, elder_id, version, waited, error_kind FROM deliveries
    WHERE directory_id = ? AND name = ? AND intent IS NULL AND state IN ('ready', 'waiting', 'held')
    ORDER BY id
"""

_ATTACHED = """
    SELECT 1 FROM deliveries WHERE directory_id = ?1 AND name = ?2 AND state = 'done'
    AND (rule = ?3 OR (destination = ?4 AND target = ?5)) LIMIT 1
"""

_VERSIONS = "SELECT count(*) FROM files WHERE directory_id = ? AND name = ? AND standing = 'matched'"

_NEWEST = "SELECT * FROM files WHERE directory_id = ? AND name = ? ORDER BY version DESC LIMIT 1"


def latest(connection: sqlite3.Connection, folder_id: int, path: str) -> FileVersion | None:
    """Give the newest version known at a path, or None."""
    place = place_of(connection, folder_id, path)
    row = place and connection.execute(_NEWEST, place).fetchone()
    return rows.file_version(row, folder_id, path) if row else None


def record(connection: sqlite3.Connection, new: NewVersion, at: datetime) -> list[int]:
    """Write what became of a settled file; give the ids of its new deliveries."""
    place = _make_place(connection, new.folder_id, new.path)
    newest = connection.execute(_NEWEST, place).fetchone()
    if newest and _is_known(newest, new):
        return []
    new = without_ignored(connection, place, new)
    if newest and newest["standing"] in _NOTES:
        version = newest["version"]
        _judge_again(connection, (*place, version), new, at)
    else:
        version = newest["version"] + 1 if newest else 1
        _insert_version(connection, (*place, version), new, at)
    if newest:
        _replace_earlier(connection, place, version, new, at)
    afters.plan(connection, new.folder_id, (*place, version), new.after, at)
    return [add(connection, new.folder_id, (*place, version), each, at) for each in new.planned]


def without_ignored(connection: sqlite3.Connection, place: tuple[int, str], new: NewVersion) -> NewVersion:
    """Leave out what `on_change: ignore` does not want any more: changes of a path that is attached.

    A version of which nothing is wanted stands as `existing`, with the reason: it is known and no problem.
    """
    wanted = [plan for plan in new.planned if not _is_ignored(connection, place, plan)]
    if wanted or not new.planned:
        return replace(new, planned=wanted)
    rules = " and ".join(quoted(plan.rule) for plan in new.planned)
    reason = ErrorInfo(
        kind=ErrorKind.CHANGED,
        message=f"changed after it was attached, and {rules} says `on_change: ignore`",
        hint="nothing to do; `on_change: upload` attaches changed files as well",
    )
    return replace(new, planned=(), standing=Standing.EXISTING, reason=reason)


def _is_ignored(connection: sqlite3.Connection, place: tuple[int, str], plan: PlannedDelivery) -> bool:
    about = (*place, plan.rule, plan.destination, rows.to_json(dict(plan.target)))
    return plan.ignores_changes and connection.execute(_ATTACHED, about).fetchone() is not None


def _is_known(newest: sqlite3.Row, new: NewVersion) -> bool:
    judged = newest["standing"] in {Standing.MATCHED, Standing.EXISTING}
    has_other_bytes = new.sha256 and newest["sha256"] not in {None, new.sha256}
    return judged and rows.signs(newest) == new.signs and not has_other_bytes


def record_existing(
    connection: sqlite3.Connection, folder_id: int, files: Sequence[tuple[str, Signs]], at: datetime
) -> None:
    """Record files that lay there before the first start; those that are known already stay as they are."""
    for path, signs in files:
        place = _make_place(connection, folder_id, path)
        if connection.execute(_NEWEST, place).fetchone() is None:
            existing = NewVersion(folder_id=folder_id, path=path, signs=signs, standing=Standing.EXISTING)
            _insert_version(connection, (*place, 1), existing, at)


def same_bytes(
    connection: sqlite3.Connection, folder_id: int, path: str, signs: Signs, sha256: str, at: datetime
) -> bool:
    """Note that only the signs of the newest version changed; give its stuck deliveries another try.

    False, and nothing written, where the newest version is another one by now.
    """
    place = place_of(connection, folder_id, path)
    newest = place and connection.execute(_NEWEST, place).fetchone()
    if not place or not newest or not _may_have(newest, sha256):
        return False
    connection.execute(
        "UPDATE files SET size = ?, mtime_ns = ?, ctime_ns = ?, sha256 = ?, updated_at = ?"
        " WHERE directory_id = ? AND name = ? AND version = ?",
        (signs.size, signs.mtime_ns, signs.ctime_ns, sha256, rows.to_text(at), *place, newest["version"]),
    )
    afters.again(connection, (*place, newest["version"]), at)
    for row in connection.execute(_OF_PATH, place).fetchall():
        if row["version"] == newest["version"]:
            _wake(connection, row, at)
    return True


def _may_have(newest: sqlite3.Row, sha256: str) -> bool:
    # Bytes that were never hashed may be any: a worker may be reading the old ones at this moment.
    return bool(newest["standing"] != Standing.GONE and newest["sha256"] == sha256)


def _wake(connection: sqlite3.Connection, row: sqlite3.Row, at: datetime) -> None:
    if row["state"] == State.HELD and row["error_kind"] != ErrorKind.KEEPS_CHANGING:
        restart(connection, row, at, "intake", "the file was dropped again")
    elif row["state"] == State.WAITING and row["error_kind"] == ErrorKind.CHANGED:
        restart(connection, row, at, "intake", "the file did not change after all")


def gone(connection: sqlite3.Connection, folder_id: int, path: str, at: datetime) -> None:
    """Note that a path is gone: ready and waiting deliveries vanish, a mere note is forgotten."""
    place = place_of(connection, folder_id, path)
    if not place:
        return
    vanished = Change(to=State.VANISHED, at=at, by="intake")
    for row in connection.execute(_OF_PATH, place).fetchall():
        if row["state"] != State.HELD:
            move(connection, Standpoint.of(row), vanished)
    _forget_notes(connection, place, at)


def _forget_notes(connection: sqlite3.Connection, place: tuple[int, str], at: datetime) -> None:
    """Forget mere notes; one that had deliveries, before other rules left it alone, stays as `gone`."""
    connection.execute(
        "UPDATE files SET standing = 'gone', updated_at = ? WHERE directory_id = ? AND name = ?"
        " AND standing IN ('unmatched', 'parked') AND EXISTS (SELECT 1 FROM deliveries d"
        " WHERE d.directory_id = files.directory_id AND d.name = files.name AND d.version = files.version)",
        (rows.to_text(at), *place),
    )
    connection.execute(
        "DELETE FROM files WHERE directory_id = ? AND name = ? AND standing IN ('unmatched', 'parked')", place
    )


def place_of(connection: sqlite3.Connection, folder_id: int, path: str) -> tuple[int, str] | None:
    """Give the directory and the name under which a path is known, or None."""
    directory, name = rows.split(path)
    row = connection.execute(
        "SELECT id FROM directories WHERE folder_id = ? AND path = ?", (folder_id, directory)
    ).fetchone()
    return (row["id"], name) if row else None


def _make_place(connection: sqlite3.Connection, folder_id: int, path: str) -> tuple[int, str]:
    place = place_of(connection, folder_id, path)
    if place:
        return place
    directory, name = rows.split(path)
    made = connection.execute(
        "INSERT INTO directories (folder_id, path) VALUES (?, ?) RETURNING id", (folder_id, directory)
    ).fetchone()
    return made["id"], name


def _insert_version(
    connection: sqlite3.Connection, key: tuple[int, str, int], new: NewVersion, at: datetime
) -> None:
    connection.execute(
        "INSERT INTO files (size, mtime_ns, ctime_ns, standing, sha256,"
        " error_kind, error_message, error_hint, updated_at, first_seen, directory_id, name, version)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*_version_columns(new, at), rows.to_text(at), *key),
    )


def _judge_again(
    connection: sqlite3.Connection, key: tuple[int, str, int], new: NewVersion, at: datetime
) -> None:
    connection.execute(
        "UPDATE files SET size = ?, mtime_ns = ?, ctime_ns = ?, standing = ?, sha256 = ?,"
        " error_kind = ?, error_message = ?, error_hint = ?, updated_at = ?"
        " WHERE directory_id = ? AND name = ? AND version = ?",
        (*_version_columns(new, at), *key),
    )


def leave(connection: sqlite3.Connection, key: tuple[int, str, int], left: NewVersion, at: datetime) -> None:
    """Note that other rules leave a version alone, and why; what is known of its bytes stays."""
    connection.execute(
        "UPDATE files SET standing = ?, error_kind = ?, error_message = ?, error_hint = ?, updated_at = ?"
        " WHERE directory_id = ? AND name = ? AND version = ?",
        (left.standing.value, *rows.error_columns(left.reason), rows.to_text(at), *key),
    )


def _version_columns(new: NewVersion, at: datetime) -> tuple[object, ...]:
    signs = new.signs
    return (
        *(signs.size, signs.mtime_ns, signs.ctime_ns, new.standing.value, new.sha256),
        *rows.error_columns(new.reason),
        rows.to_text(at),
    )


def _replace_earlier(
    connection: sqlite3.Connection, place: tuple[int, str], version: int, new: NewVersion, at: datetime
) -> None:
    """Move what is not delivered of earlier versions, but never out of sight: something must take over."""
    if new.planned:
        detail = f"newer bytes came (version {version})"
        change = Change(to=State.SUPERSEDED, at=at, by="intake", detail=detail)
    elif new.reason and new.reason.kind is ErrorKind.NOT_REGULAR:
        change = Change(to=State.VANISHED, at=at, by="intake", detail="something else took the file's place")
    else:
        return
    for row in connection.execute(_OF_PATH, place).fetchall():
        if is_legal(State(row["state"]), change.to):
            move(connection, Standpoint.of(row), change)


def versions_of(connection: sqlite3.Connection, place: tuple[int, str]) -> int:
    """Count the versions of a path that rules took; a touch makes none."""
    return int(connection.execute(_VERSIONS, place).fetchone()[0])


def add(
    connection: sqlite3.Connection,
    folder_id: int,
    key: tuple[int, str, int],
    planned: PlannedDelivery,
    at: datetime,
    *,
    by: str = "intake",
    detail: str = "the file settled",
) -> int:
    """Make a delivery of a file version and give its id.

    Held at once: one version too many of its path, and a file of a time the ledger knows nothing of.
    """
    now = rows.to_text(at)
    made = connection.execute(
        "INSERT INTO deliveries (folder_id, directory_id, name, version, rule, destination, target, filename,"
        " dedupe, state, detail, changed_by, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'ready', ?, ?, ?, ?) RETURNING id",
        (
            *(folder_id, *key, planned.rule, planned.destination, rows.to_json(dict(planned.target))),
            *(planned.filename, int(planned.dedupe), f"{detail}; rule {planned.rule} takes it", by, now, now),
        ),
    ).fetchone()
    if lost_time.doubt(connection, made["id"], key, at, by):
        return int(made["id"])
    if not 0 < planned.max_versions < key[2]:  # so many versions there cannot be
        return int(made["id"])
    count = versions_of(connection, key[:2])
    if count > planned.max_versions:
        held = Change(to=State.HELD, at=at, by=by, error=_keeps_changing(count, planned))
        move(connection, Standpoint(made["id"], State.READY), held)
    return int(made["id"])


def _keeps_changing(count: int, planned: PlannedDelivery) -> ErrorInfo:
    return ErrorInfo(
        kind=ErrorKind.KEEPS_CHANGING,
        message=f"keeps changing: is it a log? this is version {count} of the file, and rule"
        f" {quoted(planned.rule)} has `max_versions: {planned.max_versions}`",
        hint="`attachd retry ID` attaches this version; a higher `max_versions` (0: no limit) every one",
    )
