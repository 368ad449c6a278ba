"""Entries of the ledger as people see them: the contract's JSON, and cells of a table."""

from datetime import datetime
from typing import Any

import click

from attachd.core.paths import escape
from attachd.core.states import PROBLEMS
from attachd.ledger.reports import Entry, HistoryRow
from attachd.model import ErrorInfo, Standing, State
from attachd.status.facts import utc
from attachd.status.progress import ATTACHED, NEEDS_YOU, ON_ITS_WAY, STATES, shown_as

DELIVERY_ID = click.IntRange(1, 2**63 - 1)
"""What SQLite can hold as the id of a row."""

PROBLEM_STATES = (
    *(state.value for state in State if state in PROBLEMS),
    Standing.UNMATCHED.value,
    Standing.PARKED.value,
)
"""What `list --problems` lists: all that needs a person's eye."""

_COLORS = {ATTACHED: "green", NEEDS_YOU: "red", ON_ITS_WAY: "cyan"}
STATE_COLORS = {state: _COLORS.get(shown_as(state), "") for state in STATES}
"""The colour of each state on a terminal."""


def maybe_utc(moment: datetime | None) -> str | None:
    """Give a time as `utc` does, or None."""
    return None if moment is None else utc(moment)


def size_text(size: int) -> str:
    """Give a size for people, in the units of rules.yaml: `1.4 MB`."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def error_json(error: ErrorInfo | None) -> dict[str, str] | None:
    """Give an error as the contract's JSON."""
    return None if error is None else {"kind": error.kind.value, "message": error.message, "hint": error.hint}


def entry_json(entry: Entry) -> dict[str, Any]:
    """Give an entry as the contract's JSON object."""
    return {
        "id": entry.id,
        "folder": escape(entry.folder),
        "path": escape(entry.path),
        "version": entry.version,
        "rule": entry.rule,
        "destination": entry.destination,
        "target": None if entry.target is None else dict(entry.target),
        "filename": entry.filename,
        "state": entry.state,
        "call": entry.call,
        "attempts": entry.attempts,
        "remote_id": entry.remote_id,
        "error": error_json(entry.error),
        "size": entry.size,
        "sha256": entry.sha256,
        "first_seen": utc(entry.first_seen),
        "updated_at": utc(entry.updated_at),
        "next_attempt_at": maybe_utc(entry.next_attempt_at),
    }


def history_json(row: HistoryRow) -> dict[str, Any]:
    """Give one move of a delivery as the contract's JSON object."""
    return {
        "at": utc(row.at),
        "from": row.before,
        "to": row.after,
        "call": row.call,
        "detail": row.detail,
        "by": row.by,
    }


def error_text(error: ErrorInfo | None) -> str:
    """Say what is wrong, with its kind."""
    return "" if error is None else f"{error.kind.value}: {error.message}"
