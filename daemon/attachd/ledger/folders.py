"""What the ledger remembers of watched folders, and what their scans ask it."""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter

from attachd.core.folder_ledger import KnownFiles
from attachd.core.paths import escape, unescape
from attachd.ledger import rows
from attachd.ledger.readers import ReadPool
from attachd.model import FolderRecord, Standing

PAGE = 1000
"""Rows read at a time where a folder's paths are streamed: no read stays open while a scan is slow."""

KNOWN_AT_ONCE = 20_000
"""File versions of one directory that are handed out as a whole at most: some 5 MB."""

# Every version, quickly; without a size: it is `gone`.
_KNOWN = """
    SELECT f.name, CASE f.standing WHEN 'gone' THEN NULL ELSE f.size END, f.mtime_ns, f.ctime_ns
    FROM directories i JOIN files f ON f.directory_id = i.id WHERE i.folder_id = ? AND i.path = ? LIMIT ?
"""

# Of several versions the newest counts alone (SQLite takes the other columns from the row of the max): an
# older one may come back with its very signs, as in a directory that is moved back, and needs a look then.
_NEWEST_KNOWN = """
    SELECT name, size, mtime_ns, ctime_ns FROM (
        SELECT f.name, f.size, f.mtime_ns, f.ctime_ns, f.standing, max(f.version)
        FROM directories i JOIN files f ON f.directory_id = i.id
        WHERE i.folder_id = ? AND i.path = ? GROUP BY f.name
    ) WHERE standing <> 'gone'
"""

# CROSS JOIN has SQLite look each name up by its key; by itself it may read the whole directory for each.
_KNOWN_AMONG = """
    SELECT name, size, mtime_ns, ctime_ns FROM (
        SELECT f.name, f.size, f.mtime_ns, f.ctime_ns, f.standing, max(f.version)
        FROM directories i JOIN json_each(?3) CROSS JOIN files f
        ON f.directory_id = i.id AND f.name = json_each.value
        WHERE i.folder_id = ?1 AND i.path = ?2 GROUP BY f.name
    ) WHERE standing <> 'gone'
"""

_PENDING_DELIVERIES = """
    SELECT d.created_at AS at, d.id, i.path AS directory, d.name
    FROM deliveries d JOIN directories i ON i.id = d.directory_id
    WHERE d.state IN ('ready', 'active', 'waiting', 'doubtful', 'held') AND d.state IN ('ready', 'waiting')
    AND d.folder_id = ?1 AND (d.created_at, d.id) > (?2, ?3)
    ORDER BY d.created_at, d.id LIMIT ?4
"""

_PENDING_FILES = """
    SELECT f.updated_at AS at, f.directory_id, i.path AS directory, f.name
    FROM files f JOIN directories i ON i.id = f.directory_id
    WHERE f.standing IN ('unmatched', 'parked', 'existing') AND f.standing = ?1 AND i.folder_id = ?2
    AND (f.updated_at, f.directory_id, f.name) > (?3, ?4, ?5)
    ORDER BY f.updated_at, f.directory_id, f.name LIMIT ?6
"""


def open_folder(connection: sqlite3.Connection, path: str, filesystem: str, at: datetime) -> FolderRecord:
    """Give the folder's record; make one where there is none."""
    connection.execute(
        "INSERT INTO folders (path, filesystem, first_started_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (escape(path), filesystem, rows.to_text(at)),
    )
    return rows.folder(connection.execute("SELECT * FROM folders WHERE path = ?", (escape(path),)).fetchone())


def all_folders(connection: sqlite3.Connection) -> list[FolderRecord]:
    """Give every folder that was ever watched, in the order of their first start."""
    return [rows.folder(row) for row in connection.execute("SELECT * FROM folders ORDER BY id")]


def note_filesystem(connection: sqlite3.Connection, folder_id: int, filesystem: str) -> None:
    """Remember on which file system a folder is seen now."""
    connection.execute("UPDATE folders SET filesystem = ? WHERE id = ?", (filesystem, folder_id))


def finish_first_scan(connection: sqlite3.Connection, folder_id: int) -> None:
    """Note that the folder's first scan is complete."""
    connection.execute("UPDATE folders SET first_scan_done = 1 WHERE id = ?", (folder_id,))


def known(connection: sqlite3.Connection, folder_id: int, directory: str) -> KnownFiles | None:
    """Give (name, size, mtime_ns, ctime_ns) of each file of a directory, as of its newest version.

    One whose newest version is `gone` is not known.
    None: there are more than `KNOWN_AT_ONCE`.
    """
    place = (folder_id, escape(directory))
    found = _known(connection, _KNOWN, (*place, KNOWN_AT_ONCE + 1))
    if len(found) > KNOWN_AT_ONCE:
        return None
    has_several = len(set(map(itemgetter(0), found))) < len(found)
    has_gone = None in map(itemgetter(1), found)
    return _known(connection, _NEWEST_KNOWN, place) if has_several or has_gone else found


def known_among(
    connection: sqlite3.Connection, folder_id: int, directory: str, names: Sequence[str]
) -> KnownFiles:
    """Give the same for some names of a directory."""
    asked = rows.to_json([escape(name) for name in names])
    return _known(connection, _KNOWN_AMONG, (folder_id, escape(directory), asked))


def _known(connection: sqlite3.Connection, query: str, values: tuple[object, ...]) -> KnownFiles:
    cursor = connection.cursor()
    cursor.row_factory = None  # plain tuples: a scan asks for as many rows as there are files
    found: KnownFiles = set(cursor.execute(query, values))
    escaped = [row for row in found if "\\" in row[0]]
    found.difference_update(escaped)
    found.update((unescape(name), size, mtime, ctime) for name, size, mtime, ctime in escaped)
    return found


def pending_paths(pool: ReadPool, folder_id: int) -> Iterator[str]:
    """Stream the paths of ready and waiting deliveries and of unmatched and parked files."""
    yield from _pages(pool, _PENDING_DELIVERIES, (folder_id,), ("", 0))
    yield from noted_paths(pool, folder_id)


def noted_paths(pool: ReadPool, folder_id: int) -> Iterator[str]:
    """Stream the paths of unmatched and parked files."""
    yield from _pages(pool, _PENDING_FILES, (Standing.UNMATCHED.value, folder_id), ("", 0, ""))
    yield from parked_paths(pool, folder_id)


def parked_paths(pool: ReadPool, folder_id: int) -> Iterator[str]:
    """Stream the paths of parked files."""
    yield from _pages(pool, _PENDING_FILES, (Standing.PARKED.value, folder_id), ("", 0, ""))


def _pages(pool: ReadPool, query: str, about: tuple[object, ...], after: tuple[object, ...]) -> Iterator[str]:
    while True:
        with pool.borrow() as connection:
            page = connection.execute(query, (*about, *after, PAGE)).fetchall()
        for row in page:
            yield rows.join(row["directory"], row["name"])
        if len(page) < PAGE:
            return
        after = (page[-1][0], page[-1][1], page[-1]["name"])[: len(after)]
