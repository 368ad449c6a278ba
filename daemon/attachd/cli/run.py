"""`attachd run`: the service in the foreground, or one pass with `--once`."""

from collections.abc import Mapping

import click
import structlog

from attachd.cli.dry_run import show_json, show_lines
from attachd.cli.opening import config_file, has_ledger
from attachd.cli.output import complain, write
from attachd.cli.progress_bar import progress_bar
from attachd.cli.times import duration
from attachd.config.load import format_problems, load
from attachd.core.settings import Settings
from attachd.ledger.reports import Reports
from attachd.logs import configure
from attachd.service.dry_run import dry_run
from attachd.service.observe import tallies_of
from attachd.service.once import states_of
from attachd.service.run import run
from attachd.service.signals import Signals
from attachd.status.progress import ATTACHED, NEEDS_YOU, ON_ITS_WAY, tally

log = structlog.get_logger("attachd")


@click.command("run")
@click.option("--once", is_flag=True, help="One full scan, deliver until nothing is on its way, then end.")
@click.option(
    "--deadline", callback=duration, metavar="DURATION", help="With --once: end after this long, as 10m."
)
@click.option(
    "--new-ledger", is_flag=True, help="Begin a new ledger where a ledger's backup or lock stands without it."
)
@click.option(
    "--dry-run", "dry", is_flag=True, help="With --once: show what would be sent where; send nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print one JSON array.")
@click.pass_context
def command(
    ctx: click.Context, *, once: bool, deadline: float | None, new_ledger: bool, dry: bool, as_json: bool
) -> int:
    """Run the service in the foreground: watch the folders, attach what lands there. Logs to standard error.

    SIGTERM and SIGINT drain and stop; a second one cuts.

    With --once: one full scan, waits for settling, delivers until nothing is ready, active, waiting or
    doubtful, then ends. Exit code 0: all attached; 75: work is left that may succeed later; 4: something
    needs a person.

    With --dry-run as well: the same by the same code, on a copy of the ledger and with nothing sent, one line
    for each file; needs no token, and works beside a running service. Targets are not asked for.
    """
    _require_together(ctx, once=once, deadline=deadline, dry=dry, as_json=as_json)
    if dry:
        settings = _settings(ctx, resolve=False)
        return _dry_run(settings, deadline=deadline, new_ledger=new_ledger, as_json=as_json)
    with Signals() as signals:  # first of all: a reload that comes too early must not end the process
        if once:
            settings = _settings(ctx, resolve=True)
            return _once(settings, deadline=deadline, new_ledger=new_ledger, signals=signals)
        settings, warnings = load(config_file(ctx), resolve=True)
        configure(settings.service.log_level, settings.service.log_format)
        for line in format_problems(warnings, settings.file):
            log.warning("rules_warning", problem=line)
        return run(settings, new_ledger=new_ledger, signals=signals)


def _settings(ctx: click.Context, *, resolve: bool) -> Settings:
    settings, warnings = load(config_file(ctx), resolve=resolve)
    complain(*format_problems(warnings, settings.file))
    return settings


def _once(settings: Settings, *, deadline: float | None, new_ledger: bool, signals: Signals) -> int:
    before = _totals(settings)
    with progress_bar(before) as show:
        level = settings.service.log_level
        configure("warning" if show and level == "info" else level, settings.service.log_format)
        code = run(
            settings, once=True, deadline=deadline, new_ledger=new_ledger, progress=show, signals=signals
        )
    write(summary(before, _totals(settings)))
    return code


def _require_together(
    ctx: click.Context, *, once: bool, deadline: float | None, dry: bool, as_json: bool
) -> None:
    if deadline is not None and not once:
        raise click.UsageError("--deadline goes with --once.", ctx=ctx)
    if dry and not once:
        raise click.UsageError("--dry-run goes with --once.", ctx=ctx)
    if as_json and not dry:
        raise click.UsageError("--json goes with --dry-run.", ctx=ctx)


def _dry_run(settings: Settings, *, deadline: float | None, new_ledger: bool, as_json: bool) -> int:
    tell = show_json if as_json else show_lines
    configure("error", settings.service.log_format)
    with progress_bar(_totals(settings)) as show:
        return dry_run(
            settings, deadline=deadline, new_ledger=new_ledger, progress=show, tell=tell, warn=complain
        )


def summary(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Say in one line what a run has come to: what it attached, and what is not attached yet."""
    parts = [f"{after[ATTACHED] - before[ATTACHED]} attached"]
    if after[ON_ITS_WAY]:
        parts.append(f"{after[ON_ITS_WAY]} still on {'its' if after[ON_ITS_WAY] == 1 else 'their'} way")
    if after[NEEDS_YOU]:
        verb = "needs" if after[NEEDS_YOU] == 1 else "need"
        parts.append(f"{after[NEEDS_YOU]} {verb} you (attachd list --problems)")
    return ", ".join(parts)


def _totals(settings: Settings) -> dict[str, int]:
    if not has_ledger(settings):
        return tally({})
    with Reports.open(settings.ledger) as ledger:
        return tally(states_of(tallies_of(ledger)))
