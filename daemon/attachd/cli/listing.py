"""`attachd list`: deliveries and files without one, newest first."""

from collections.abc import Sequence
from datetime import datetime

import click

from attachd.cli.entries import PROBLEM_STATES, STATE_COLORS, entry_json, error_text
from attachd.cli.opening import read_what_can_be, reports
from attachd.cli.output import Column, write, write_json_array, write_table
from attachd.cli.times import since
from attachd.core.paths import escape
from attachd.core.sentences import did_you_mean
from attachd.ledger.reports import Entry
from attachd.status.progress import STATES
from attachd.status.showing import DASH, moment_text, target_text

_COLUMNS = (
    Column(heading="id", right=True),
    Column(heading="state", colors=STATE_COLORS),
    Column(heading="file", wraps=True),
    Column(heading="attached to", wraps=True),
    Column(heading="as"),
    Column(heading="updated"),
    Column(heading="what is wrong", below=True),
)


def _states(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Split at commas and check each name against the contract's states."""
    names = [name.strip().lower() for words in given for name in words.split(",")]
    for name in names:
        if name not in STATES:
            raise click.BadParameter(f"there is no state {name!r}; {did_you_mean(name, STATES)}")
    return tuple(names)


@click.command("list")
@click.option(
    "--state",
    "states",
    callback=_states,
    metavar="S,…",
    multiple=True,
    help=f"Only these states: {', '.join(STATES)}.",
)
@click.option("--problems", is_flag=True, help=f"Only what needs you: {', '.join(PROBLEM_STATES)}.")
@click.option(
    "--since",
    "moment",
    callback=since,
    metavar="T",
    help="Only what changed since T: a date, a date and time, or 2h, 7d.",
)
@click.option("--limit", type=click.IntRange(1, 2**63 - 1), metavar="N", help="At most N, the newest ones.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    states: tuple[str, ...],
    problems: bool,
    moment: datetime | None,
    limit: int | None,
    as_json: bool,
) -> int:
    """List deliveries and files without one, newest first.

    A delivery is one file to one target. Files without a delivery are unmatched (no rule took them), parked
    (never became complete) or existing (lay there before the first start). --state and --problems add up.
    """
    wanted = {*states} | (set(PROBLEM_STATES) if problems else set())
    settings, code = read_what_can_be(ctx)
    with reports(settings) as ledger:
        entries = ledger.entries(wanted or None, moment, limit) if ledger else iter(())
        if as_json:
            write_json_array(entry_json(entry) for entry in entries)
        else:
            _write([_row(entry) for entry in entries])
    return code


def _write(rows: Sequence[Sequence[str]]) -> None:
    if rows:
        write_table(_COLUMNS, rows)
    else:
        write("nothing to list")


def _row(entry: Entry) -> list[str]:
    return [
        DASH if entry.id is None else str(entry.id),
        entry.state,
        escape(entry.path),
        target_text(entry.destination, entry.target),
        entry.remote_id or DASH,
        moment_text(entry.updated_at),
        error_text(entry.error),
    ]
