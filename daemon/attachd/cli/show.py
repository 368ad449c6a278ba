"""`attachd show`: one delivery with its whole history and its after-action."""

from collections.abc import Sequence
from typing import Any

import click

from attachd.cli.entries import (
    DELIVERY_ID,
    STATE_COLORS,
    entry_json,
    error_text,
    history_json,
    size_text,
)
from attachd.cli.opening import read_what_can_be, reports
from attachd.cli.output import Column, write, write_fields, write_json, write_table
from attachd.core.paths import escape
from attachd.errors import UnknownDelivery
from attachd.ledger.reports import AfterEntry, Entry, HistoryRow
from attachd.status.progress import shown_as
from attachd.status.showing import DASH, moment_text, target_text

_COLUMNS = (
    Column(heading="at"),
    Column(heading="from"),
    Column(heading="to", colors=STATE_COLORS),
    Column(heading="call"),
    Column(heading="by"),
    Column(heading="detail", wraps=True),
)


@click.command("show")
@click.argument("delivery_id", metavar="ID", type=DELIVERY_ID)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, *, delivery_id: int, as_json: bool) -> int:
    """Show one delivery with its whole history and its after-action."""
    settings, code = read_what_can_be(ctx)
    with reports(settings) as ledger:
        if ledger is None:
            raise UnknownDelivery(f"no delivery has the id {delivery_id}")
        entry = ledger.entry(delivery_id)
        history = ledger.history(delivery_id)
        after = ledger.after_of(delivery_id)
    if as_json:
        write_json(_as_json(entry, history, after))
    else:
        _write(entry, history, after)
    return code


def _as_json(entry: Entry, history: Sequence[HistoryRow], after: AfterEntry) -> dict[str, Any]:
    return {
        **entry_json(entry),
        "history": [history_json(row) for row in history],
        "after": {"action": after.action, "state": after.state, "detail": after.detail},
    }


def _write(entry: Entry, history: Sequence[HistoryRow], after: AfterEntry) -> None:
    write_fields(_fields(entry, after))
    write("")
    write_table(_COLUMNS, [_row(row) for row in history])


def _fields(entry: Entry, after: AfterEntry) -> list[tuple[str, str]]:
    error = entry.error
    pairs = [
        ("delivery", str(entry.id)),
        ("state", f"{entry.state} ({shown_as(entry.state)})"),
        ("file", escape(entry.path)),
        ("folder", escape(entry.folder)),
        ("version", f"{entry.version}, {size_text(entry.size)}, first seen {moment_text(entry.first_seen)}"),
        ("sha256", entry.sha256 or DASH),
        ("rule", entry.rule or DASH),
        ("attached to", target_text(entry.destination, entry.target)),
        ("filename", entry.filename or DASH),
        ("remote id", entry.remote_id or DASH),
        ("call", entry.call or DASH),
        ("attempts", str(entry.attempts)),
        ("next attempt", moment_text(entry.next_attempt_at)),
        ("updated", moment_text(entry.updated_at)),
        ("after", _after_text(after)),
    ]
    if error is not None:
        pairs += [("what is wrong", error_text(error)), ("what to do", error.hint or DASH)]
    return pairs


def _after_text(after: AfterEntry) -> str:
    stands = after.action if after.action == "keep" else f"{after.action}, {after.state}"
    return f"{stands}: {after.detail}"


def _row(row: HistoryRow) -> list[str]:
    return [
        moment_text(row.at),
        row.before or DASH,
        row.after,
        row.call or DASH,
        row.by,
        row.detail,
    ]
