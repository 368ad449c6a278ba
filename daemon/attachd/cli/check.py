"""`attachd check`: everything that is wrong with rules.yaml, at once, and with what it names."""

from collections.abc import Iterable
from contextlib import ExitStack

import click

from attachd.cli.opening import config_file, has_ledger
from attachd.cli.output import complain, write
from attachd.config.load import format_problems, load
from attachd.core.settings import Settings
from attachd.folders import reach
from attachd.ledger.reports import Reports
from attachd.logs import configure
from attachd.service.accounts import open_accounts
from attachd.service.online import Finding, Outcome, check_online

REFUSED = 1
UNREACHABLE = 75

_EXIT_CODES = {
    Outcome.WELL: 0,
    Outcome.UNCHECKED: 0,
    Outcome.UNREACHABLE: UNREACHABLE,
    Outcome.WRONG: REFUSED,
}


@click.command("check")
@click.option("--online", is_flag=True, help="Also try tokens, schemas and folders; needs the tokens.")
@click.pass_context
def command(ctx: click.Context, *, online: bool) -> int:
    """Validate rules.yaml and run its examples.

    Says everything that is wrong at once, as FILE:LINE:COL: path: what; hint. Exit code 78 where something
    is; warnings alone are none. Needs no secret and sends nothing.

    With --online it also tries each token, holds every document that attachd would send against the schema
    that the destination describes, and looks into each folder; nothing is changed anywhere. Exit code 1:
    something is refused or missing; 75: a destination is unreachable.
    """
    file = config_file(ctx)
    settings, warnings = load(file, resolve=online)
    complain(*format_problems(warnings, settings.file))
    write(f"{settings.file}: ok, {_counted(settings)}")
    return _online(settings) if online else 0


def _online(settings: Settings) -> int:
    configure("warning", settings.service.log_format)
    with ExitStack() as opened:
        opened.enter_context(reach.impatient())
        bind = None
        if has_ledger(settings):  # each name belongs to somebody: `run` would send nothing to another one
            bind = opened.enter_context(Reports.open(settings.ledger)).other_tenant
        accounts = opened.enter_context(open_accounts(settings, bind))
        return _EXIT_CODES[_told(check_online(settings, accounts))]


def _told(findings: Iterable[Finding]) -> Outcome:
    worst = Outcome.WELL
    for each in findings:
        hint = f"; {each.hint}" if each.hint and each.outcome is not Outcome.WELL else ""
        say = write if each.outcome is Outcome.WELL else complain
        say(f"{each.where}: {each.what}{hint}")
        worst = max(worst, each.outcome)
    return worst


def _counted(settings: Settings) -> str:
    rules = [rule for folder in settings.folders for rule in folder.rules]
    examples = sum(len(rule.examples) for rule in rules)
    counts = ((len(settings.folders), "folder"), (len(rules), "rule"), (examples, "example"))
    return ", ".join(_many(count, noun) for count, noun in counts)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
