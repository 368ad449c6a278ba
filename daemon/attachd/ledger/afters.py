"""What the ledger remembers of after-actions: one for each file version that does not just stay.

Functions are called inside a transaction; `Afters` is what the pipeline sees. A delivery that is superseded
does not count: by newer bytes, and then the version is skipped as a whole; or by other rules, and then its
successor counts.
"""

import sqlite3
from collections.abc import Collection
from datetime import datetime

from attachd.core.afters import LONGEST_PAUSE, AfterAction, AfterKind, AfterState, Leftovers, PlannedAfter
from attachd.core.paths import escape, unescape
from attachd.core.retrying import latest_end
from attachd.ledger import rows
from attachd.ledger.readers import ReadPool
from attachd.ledger.writer import Writer

Key = tuple[int, str, int]
"""Directory, name and version of a file."""

WAITS = "runs once every delivery of the file is attached"

_ACTION = """
    SELECT a.id, a.folder_id, o.path AS folder, i.path AS directory, a.name, f.size, f.mtime_ns, f.ctime_ns,
        f.sha256, f.first_seen, a.rule, a.action, a.target, a.chosen, a.held_as, a.state, a.attempts, a.detail
    FROM after_actions a
    JOIN folders o ON o.id = a.folder_id
    JOIN directories i ON i.id = a.directory_id
    JOIN files f ON f.directory_id = a.directory_id AND f.name = a.name AND f.version = a.version
"""

# The partial index is used only where its own condition stands in the query, word for word.
DUE = """
    SELECT id FROM after_actions WHERE due_at IS NOT NULL AND due_at <= ?1
    AND folder_id IN (SELECT value FROM json_each(?2)) ORDER BY due_at LIMIT 1
"""

LATER = """
    SELECT 1 FROM after_actions WHERE due_at IS NOT NULL AND due_at > ?1 AND due_at <= ?3
    AND folder_id IN (SELECT value FROM json_each(?2)) LIMIT 1
"""

PUT_OFF = """
    SELECT id FROM after_actions WHERE due_at IS NOT NULL AND due_at > ?1
    AND folder_id IN (SELECT value FROM json_each(?2)) ORDER BY due_at LIMIT 1
"""

_PLAN = """
    INSERT INTO after_actions (folder_id, directory_id, name, version, rule, action, target, state, detail,
        updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (directory_id, name, version) DO UPDATE SET rule = excluded.rule, action = excluded.action,
        target = excluded.target, state = excluded.state, detail = excluded.detail, due_at = NULL,
        chosen = NULL, held_as = NULL, attempts = 0, updated_at = excluded.updated_at
        WHERE after_actions.state NOT IN ('taken', 'done')
"""

_FORGET = """
    DELETE FROM after_actions
    WHERE directory_id = ? AND name = ? AND version = ? AND state NOT IN ('taken', 'done')
"""

_OVERTAKE = """
    UPDATE after_actions SET state = 'skipped', due_at = NULL, updated_at = ?,
        detail = 'newer bytes came (version ' || ? || '): the file stays for them'
    WHERE directory_id = ? AND name = ? AND version < ? AND state = 'planned'
"""

# Every delivery of the file version is attached, save those that another one replaced.
_IS_ATTACHED = """
    EXISTS (SELECT 1 FROM deliveries d WHERE d.directory_id = after_actions.directory_id
        AND d.name = after_actions.name AND d.version = after_actions.version
        AND d.state IN ('done', 'duplicate'))
    AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.directory_id = after_actions.directory_id
        AND d.name = after_actions.name AND d.version = after_actions.version
        AND d.state NOT IN ('done', 'duplicate', 'superseded'))
"""

_AGAIN = f"""
    UPDATE after_actions SET state = 'planned', detail = 'the file was dropped again', chosen = NULL,
        held_as = NULL, attempts = 0, updated_at = ?1, due_at = CASE WHEN {_IS_ATTACHED} THEN ?1 END
    WHERE directory_id = ?2 AND name = ?3 AND version = ?4 AND state IN ('done', 'failed', 'skipped')
"""  # noqa: S608 - two literals

_RECONSIDER = f"""
    UPDATE after_actions SET state = 'planned', attempts = 0, updated_at = ?1,
        due_at = CASE WHEN {_IS_ATTACHED} THEN ?1 END
    WHERE state = 'failed'
"""  # noqa: S608 - two literals

_TAKE = f"""
    UPDATE after_actions SET state = 'taken', rule = ?2, action = ?3, target = ?4, chosen = ?5, held_as = ?6,
        detail = 'under way', updated_at = ?7
    WHERE id = ?1 AND (state = 'taken' OR (state = 'planned' AND {_IS_ATTACHED}))
"""  # noqa: S608 - two literals

_NOT_YET = f"""
    UPDATE after_actions SET due_at = NULL, detail = ?2, updated_at = ?3
    WHERE id = ?1 AND state = 'planned' AND NOT ({_IS_ATTACHED})
"""  # noqa: S608 - two literals

_POSTPONE = """
    UPDATE after_actions SET attempts = attempts + 1, detail = ?2, due_at = ?3, updated_at = ?4
    WHERE id = ?1 AND state IN ('planned', 'taken')
"""

_FINISH = """
    UPDATE after_actions SET state = ?2, detail = ?3, due_at = NULL, updated_at = ?4
    WHERE id = ?1 AND state IN ('planned', 'taken')
"""

OF_DELIVERY = """
    SELECT a.action, a.state, a.detail FROM deliveries d JOIN after_actions a
    ON a.directory_id = d.directory_id AND a.name = d.name AND a.version = d.version WHERE d.id = ?
"""


def plan(
    connection: sqlite3.Connection, folder_id: int, key: Key, planned: PlannedAfter | None, at: datetime
) -> None:
    """Record what is to become of a file version; what was planned for it, or before it, holds no more."""
    now = rows.to_text(at)
    directory_id, name, version = key
    if version > 1:
        connection.execute(_OVERTAKE, (now, version, directory_id, name, version))
    if planned is None:
        connection.execute(_FORGET, key)
        return
    state = AfterState.FAILED if planned.fault else AfterState.PLANNED
    stand = (state.value, rows.clean(planned.fault or WAITS), now)
    connection.execute(
        _PLAN, (folder_id, *key, planned.rule, planned.kind.value, _escaped(planned.target), *stand)
    )


def again(connection: sqlite3.Connection, key: Key, at: datetime) -> None:
    """Note that the bytes of a version lie there again: its ended after-action is to be done once more."""
    connection.execute(_AGAIN, (rows.to_text(at), *key))


class Afters:
    """The after-actions in the ledger (`core.afters.AfterLedger`). Safe for any number of threads."""

    def __init__(self, writer: Writer, readers: ReadPool) -> None:
        self._writer = writer
        self._readers = readers

    def reconsider(self, at: datetime) -> None:
        """Let what failed be tried once more: the rules may have been mended since."""
        self._writer.run(lambda connection: connection.execute(_RECONSIDER, (rows.to_text(at),)).close())

    def due(self, folders: Collection[int], at: datetime) -> AfterAction | None:
        """Give the after-action of these folders that has been due for longest, or None."""
        with self._readers.borrow() as connection:
            found = _due(connection, _about(folders, at))
            return _read(connection, found["id"]) if found else None

    def left(self, folders: Collection[int], at: datetime) -> Leftovers:
        """Say whether any of these folders has an after-action that is due."""
        about = _about(folders, at)
        with self._readers.borrow() as connection:
            now = _due(connection, about) is not None
            return Leftovers(now=now, later=connection.execute(LATER, about).fetchone() is not None)

    def take(self, action: AfterAction, chosen: str | None, held_as: str, at: datetime) -> AfterAction | None:
        """Record what is done, and the names, before it is done. None: it is not to be, or not yet."""
        return self._writer.run(lambda connection: _take(connection, action, chosen, held_as, at))

    def postpone(self, action: AfterAction, detail: str, due_at: datetime, at: datetime) -> None:
        """Record why it could not be done, and when it is tried again."""
        values = (rows.clean(detail), rows.to_text(due_at), rows.to_text(at))
        self._write(_POSTPONE, action, values)

    def finish(self, action: AfterAction, state: AfterState, detail: str, at: datetime) -> None:
        """Record how it ended."""
        self._write(_FINISH, action, (state.value, rows.clean(detail), rows.to_text(at)))

    def _write(self, statement: str, action: AfterAction, values: tuple[str, ...]) -> None:
        self._writer.run(lambda connection: connection.execute(statement, (action.id, *values)).close())


def _about(folders: Collection[int], at: datetime) -> tuple[str, str, str]:
    latest = latest_end(at, LONGEST_PAUSE)
    return rows.to_text(at), rows.id_list(sorted(folders)), rows.to_text(latest)


def _due(connection: sqlite3.Connection, about: tuple[str, str, str]) -> sqlite3.Row | None:
    """Find what is due, or was put off by a clock that has been put back since."""
    now, here, latest = about
    found: sqlite3.Row | None = connection.execute(DUE, (now, here)).fetchone()
    return found or connection.execute(PUT_OFF, (latest, here)).fetchone()


def _take(
    connection: sqlite3.Connection, action: AfterAction, chosen: str | None, held_as: str, at: datetime
) -> AfterAction | None:
    now = rows.to_text(at)
    what = (action.rule, action.kind.value, _escaped(action.target))
    if connection.execute(_TAKE, (action.id, *what, _escaped(chosen), escape(held_as), now)).rowcount:
        return _read(connection, action.id)
    connection.execute(_NOT_YET, (action.id, WAITS, now))
    return None


def _read(connection: sqlite3.Connection, action_id: int) -> AfterAction | None:
    row = connection.execute(_ACTION + " WHERE a.id = ?", (action_id,)).fetchone()
    return _action(row) if row else None


def _action(row: sqlite3.Row) -> AfterAction:
    return AfterAction(
        id=row["id"],
        folder_id=row["folder_id"],
        folder=unescape(row["folder"]),
        path=rows.join(row["directory"], row["name"]),
        signs=rows.signs(row),
        sha256=row["sha256"],
        rule=row["rule"],
        kind=AfterKind(row["action"]),
        target=_unescaped(row["target"]),
        chosen=_unescaped(row["chosen"]),
        held_as=_unescaped(row["held_as"]),
        state=AfterState(row["state"]),
        attempts=row["attempts"],
        detail=row["detail"],
        first_seen=rows.to_time(row["first_seen"]),
    )


def _escaped(path: str | None) -> str | None:
    return None if path is None else escape(path)


def _unescaped(path: str | None) -> str | None:
    return None if path is None else unescape(path)
