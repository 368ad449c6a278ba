"""What the ledger says of files and their deliveries, file by file: what `verify` starts from.

Asked for in pages along the indexes, directory by directory, so that memory stays small and no read stays
open while a destination is asked about what was found.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from attachd.core.paths import escape
from attachd.ledger import rows
from attachd.ledger.readers import ReadPool
from attachd.model import Delivery, ErrorInfo, FileVersion, Standing, State

PAGE = 200
"""Files, or directories, that are read from the ledger at once."""

DIRECTORIES = """
    SELECT id, folder_id, path FROM directories
    WHERE folder_id = (SELECT id FROM folders WHERE path = :folder) AND path >= :start
    AND (:path IN ('', path) OR path = :directory OR substr(path, 1, length(:path) + 1) = :path || '/')
    ORDER BY path LIMIT :most
"""

FILES = """
    SELECT f.*, f.version = (SELECT max(n.version) FROM files n
        WHERE n.directory_id = f.directory_id AND n.name = f.name) AS newest
    FROM files f WHERE f.directory_id = :directory_id
    AND (f.name, f.version) > (:after_name, :after_version) AND (:name IS NULL OR f.name = :name)
    ORDER BY f.name, f.version LIMIT :most
"""

_OF_FILE = (
    f"{rows.DELIVERY} WHERE d.directory_id = :directory_id AND d.name = :name AND d.version = :version"
    " ORDER BY d.id"
)

_BY_ID = f"{rows.DELIVERY} WHERE d.id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A delivery of a file, and the one that attached its bytes: itself, its elder, or None."""

    delivery: Delivery
    attached_by: Delivery | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One version of a file with its deliveries.

    Attributes:
        folder: the folder's path.
        newest: whether it is the latest version of its path.
        reason: why it has no delivery, for `unmatched` and `parked`.
    """

    folder: str
    file: FileVersion
    newest: bool
    reason: ErrorInfo | None
    proofs: tuple[Proof, ...]


def recorded(readers: ReadPool, folder: str, path: str) -> Iterator[Recorded]:
    """Stream the versions of one file, or of every file below a directory; "" is the whole folder."""
    above, name = rows.split(path)
    for directory in _directories(readers, folder, path, above):
        # Of the directory above only the file itself is meant, if it is one; of those below it everything.
        whole = path == "" or directory["path"] != above
        yield from _files(readers, directory, folder, None if whole else name)


def _directories(readers: ReadPool, folder: str, path: str, above: str) -> Iterator[sqlite3.Row]:
    asked = {"folder": escape(folder), "path": escape(path), "directory": above, "most": PAGE}
    start: str | None = ""
    while start is not None:
        with readers.borrow() as connection:
            page = connection.execute(DIRECTORIES, asked | {"start": start}).fetchall()
        yield from page
        start = f"{page[-1]['path']}\0" if len(page) == PAGE else None  # no path has a NUL: the next text


def _files(readers: ReadPool, directory: sqlite3.Row, folder: str, name: str | None) -> Iterator[Recorded]:
    asked = {"directory_id": directory["id"], "name": name, "most": PAGE}
    after: tuple[str, int] | None = ("", 0)
    while after is not None:
        place = {"after_name": after[0], "after_version": after[1]}
        with readers.borrow() as connection:
            found = connection.execute(FILES, asked | place).fetchall()
            page = [_recorded(connection, row, directory, folder) for row in found]
        yield from page
        after = (found[-1]["name"], found[-1]["version"]) if len(found) == PAGE else None


def _recorded(
    connection: sqlite3.Connection, row: sqlite3.Row, directory: sqlite3.Row, folder: str
) -> Recorded:
    path = rows.join(directory["path"], row["name"])
    key = {name: row[name] for name in ("directory_id", "name", "version")}
    deliveries = [rows.delivery(each) for each in connection.execute(_OF_FILE, key).fetchall()]
    return Recorded(
        folder=folder,
        file=rows.file_version(row, directory["folder_id"], path),
        newest=bool(row["newest"]),
        reason=rows.error_of(row) if row["standing"] in {Standing.UNMATCHED, Standing.PARKED} else None,
        proofs=tuple(Proof(delivery=each, attached_by=_attached_by(connection, each)) for each in deliveries),
    )


def _attached_by(connection: sqlite3.Connection, delivery: Delivery) -> Delivery | None:
    if delivery.state is not State.DUPLICATE:
        return delivery if delivery.state is State.DONE else None
    # Its elder was done when it became a duplicate, and what is done stays so.
    return rows.delivery(connection.execute(_BY_ID, (delivery.elder_id,)).fetchone())
