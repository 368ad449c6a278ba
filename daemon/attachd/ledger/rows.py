"""How values stand in the ledger's columns and come back: times, paths, JSON, errors, whole deliveries."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attachd.core.paths import escape, unescape
from attachd.model import Delivery, ErrorInfo, ErrorKind, FileVersion, FolderRecord, Signs, Standing, State

DELIVERY = """
    SELECT d.id, d.folder_id, o.path AS folder, i.path AS directory, d.name, d.version,
        f.size, f.mtime_ns, f.ctime_ns, f.sha256, f.first_seen,
        d.rule, d.destination, d.target, d.filename, d.dedupe, d.state, d.run, d.call, d.attempts, d.waited,
        d.looked,
        d.next_attempt_at, d.receipts, d.intent, d.elder_id, d.remote_id,
        d.error_kind, d.error_message, d.error_hint, d.updated_at
    FROM deliveries d
    JOIN folders o ON o.id = d.folder_id
    JOIN directories i ON i.id = d.directory_id
    JOIN files f ON f.directory_id = d.directory_id AND f.name = d.name AND f.version = d.version
"""
"""What `delivery` reads; the caller adds WHERE and ORDER BY."""


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_ASCII_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def to_text(at: datetime) -> str:
    """Write a time as the ledger keeps it: UTC, milliseconds, `Z`; sorts as text."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_text_or_none(at: datetime | None) -> str | None:
    """Write a time that may be missing."""
    return None if at is None else to_text(at)


def to_time(text: str) -> datetime:
    """Read a time."""
    return datetime.fromisoformat(text)


def to_time_or_none(text: str | None) -> datetime | None:
    """Read a time that may be missing."""
    return None if text is None else datetime.fromisoformat(text)


def to_json(value: object) -> str:
    """Write a value in the one form that equal values share: sorted keys, no spaces."""
    text = _JSON.encode(value)
    return text if text == clean(text) else _ASCII_JSON.encode(value)


def clean(text: str) -> str:
    """Spell out what is no text (lone surrogates), in a message that nobody has to turn back."""
    return text.encode("utf-8", "backslashreplace").decode()


def split(path: str) -> tuple[str, str]:
    """Cut a relative path into its directory and its name, both in escaped form."""
    directory, _, name = escape(path).rpartition("/")
    return directory, name


def join(directory: str, name: str) -> str:
    """Put a path together again, in `os.fsdecode` form."""
    return unescape(f"{directory}/{name}" if directory else name)


def error_columns(error: ErrorInfo | None) -> tuple[str | None, str | None, str | None]:
    """Spread an error over its three columns."""
    if error is None:
        return None, None, None
    return error.kind.value, clean(error.message), clean(error.hint)


def error_of(row: Mapping[str, Any] | sqlite3.Row) -> ErrorInfo | None:
    """Read the error of a row, or None."""
    if row["error_kind"] is None:
        return None
    return ErrorInfo(
        kind=ErrorKind(row["error_kind"]), message=row["error_message"], hint=row["error_hint"] or ""
    )


def folder(row: Mapping[str, Any] | sqlite3.Row) -> FolderRecord:
    """Read a row of `folders`."""
    return FolderRecord(
        id=row["id"],
        path=unescape(row["path"]),
        filesystem=row["filesystem"],
        first_started_at=to_time(row["first_started_at"]),
        first_scan_done=bool(row["first_scan_done"]),
    )


def file_version(row: sqlite3.Row, folder_id: int, path: str) -> FileVersion:
    """Read a row of `files`, of the path it was asked for by."""
    return FileVersion(
        folder_id=folder_id,
        path=path,
        version=row["version"],
        signs=signs(row),
        standing=Standing(row["standing"]),
        sha256=row["sha256"],
        first_seen=to_time(row["first_seen"]),
        reason=ErrorKind(row["error_kind"]) if row["error_kind"] else None,
    )


def signs(row: sqlite3.Row) -> Signs:
    """Read the signs of a file version."""
    return Signs(size=row["size"], mtime_ns=row["mtime_ns"], ctime_ns=row["ctime_ns"])


def delivery(row: sqlite3.Row) -> Delivery:
    """Read a row of `DELIVERY`."""
    return Delivery(
        id=row["id"],
        folder_id=row["folder_id"],
        folder=unescape(row["folder"]),
        path=join(row["directory"], row["name"]),
        version=row["version"],
        signs=signs(row),
        sha256=row["sha256"],
        rule=row["rule"],
        destination=row["destination"],
        target=json.loads(row["target"]),
        filename=row["filename"],
        dedupe=bool(row["dedupe"]),
        state=State(row["state"]),
        run=row["run"],
        call=row["call"],
        attempts=row["attempts"],
        waited=row["waited"],
        looked=row["looked"],
        next_attempt_at=to_time_or_none(row["next_attempt_at"]),
        receipts=json.loads(row["receipts"]),
        intent=row["intent"],
        elder_id=row["elder_id"],
        remote_id=row["remote_id"],
        error=error_of(row),
        first_seen=to_time(row["first_seen"]),
        updated_at=to_time(row["updated_at"]),
    )


def id_list(ids: Sequence[int]) -> str:
    """Write ids for `IN (SELECT value FROM json_each(?))`: one statement for any number of them."""
    return to_json(list(ids))
