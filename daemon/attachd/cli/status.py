"""`attachd status`: the whole service at a glance."""

from collections.abc import Mapping
from datetime import datetime

import click

from attachd.cli.entries import PROBLEM_STATES
from attachd.cli.opening import read_what_can_be, reports
from attachd.cli.output import Column, write, write_json, write_table
from attachd.status.progress import tally
from attachd.status.showing import DASH, moment_text
from attachd.status.snapshot import DestinationStatus, FolderStatus, ServiceStatus, take_snapshot

UNHEALTHY = 3

_WORDS = tuple(tally({}))
_COUNTS = tuple(Column(heading=word, right=True) for word in _WORDS)
_FOLDER_COLUMNS = (
    Column(heading="folder", wraps=True),
    *_COUNTS,
    Column(heading="watch"),
    Column(heading="last scan"),
    Column(heading="health", wraps=True),
)
_DESTINATION_COLUMNS = (
    Column(heading="destination", wraps=True),
    *_COUNTS,
    Column(heading="kind"),
    Column(heading="paused until"),
    Column(heading="health", wraps=True),
)


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> int:
    """Show what is attached, on its way, needs you or is not needed, per folder and destination.

    Exit code 0: the service runs and every folder and destination is healthy; 3: it does not run, or one is
    not. Works whether the service runs or not, and needs no secret. Where rules.yaml is broken by now, what
    the ledger knows is shown all the same, and the exit code is 78.
    """
    settings, code = read_what_can_be(ctx)
    with reports(settings) as ledger:
        status = take_snapshot(settings, ledger)
    if as_json:
        write_json(status.to_json())
    else:
        _write(status)
    return code or (0 if status.healthy else UNHEALTHY)


def _write(status: ServiceStatus) -> None:
    write(
        _running(status),
        *([status.detail] if status.detail else []),
        *([status.rules_detail] if status.rules_detail else []),
        ", ".join(f"{count} {word}" for word, count in status.totals.items()),
        f"oldest undelivered: {_moment(status.oldest_undelivered_at)}",
        "",
    )
    write_table(_FOLDER_COLUMNS, [_folder_row(folder) for folder in status.folders])
    write("")
    write_table(_DESTINATION_COLUMNS, [_destination_row(each) for each in status.destinations])
    problems = {state: status.states[state] for state in PROBLEM_STATES if status.states[state]}
    if problems:
        counted = ", ".join(f"{count} {state}" for state, count in problems.items())
        write("", f"needs you: {counted} (attachd list --problems)")


def _running(status: ServiceStatus) -> str:
    if not status.running:
        return "attachd is not running"
    since = f"attachd runs as process {status.pid} since {_moment(status.started_at)}"
    return since if status.healthy else f"{since}, and is not healthy"


def _folder_row(folder: FolderStatus) -> list[str]:
    counts = _counts(folder.states)
    return [folder.path, *counts, folder.watch or DASH, _moment(folder.last_scan_at), _health(folder)]


def _destination_row(each: DestinationStatus) -> list[str]:
    return [each.name, *_counts(each.states), each.kind or DASH, _moment(each.paused_until), _health(each)]


def _counts(states: Mapping[str, int]) -> list[str]:
    return [str(count) for count in tally(states).values()]


def _health(each: FolderStatus | DestinationStatus) -> str:
    if each.healthy is None:
        return each.detail or DASH
    word = "well" if each.healthy else "not well"
    return f"{word}: {each.detail}" if each.detail else word


def _moment(text: str | None) -> str:
    return moment_text(datetime.fromisoformat(text) if text else None)
