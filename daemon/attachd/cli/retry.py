"""`attachd retry`: held and waiting deliveries are tried again."""

from contextlib import closing
from datetime import UTC, datetime

import click

from attachd.cli.entries import DELIVERY_ID
from attachd.cli.opening import has_ledger, read_settings
from attachd.cli.output import complain, write
from attachd.core.paths import escape
from attachd.errors import UserError
from attachd.ledger.retries import RetryOutcome
from attachd.ledger.store import SqliteLedger


@click.command("retry")
@click.argument("delivery_ids", metavar="[ID]…", type=DELIVERY_ID, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All held and waiting deliveries.")
@click.pass_context
def command(ctx: click.Context, *, delivery_ids: tuple[int, ...], everything: bool) -> int:
    """Try held and waiting deliveries again, by their ids or with --all.

    One whose call was never answered is reconciled again, never repeated blindly. A running service notices
    within a second.
    """
    if everything == bool(delivery_ids):
        raise click.UsageError("Give the ids to retry, or --all.", ctx=ctx)
    settings = read_settings(ctx)
    if not has_ledger(settings):
        raise UserError(
            f"no ledger at {escape(settings.ledger)} yet, so there is nothing to retry",
            hint="`attachd run` makes it",
        )
    with closing(SqliteLedger.open(settings.ledger, create=False)) as ledger:
        outcome = ledger.retry(None if everything else delivery_ids, datetime.now(UTC), "retry")
    return _report(outcome, everything=everything)


def _report(outcome: RetryOutcome, *, everything: bool) -> int:
    for delivery_id in outcome.retried:
        write(f"{delivery_id}: goes again")
    for delivery_id, elder_id in outcome.behind.items():
        write(f"{delivery_id}: follows delivery {elder_id}, which has the same bytes and goes first")
    for delivery_id, reason in outcome.refused.items():
        complain(f"{delivery_id}: not tried again: {reason}")
    for delivery_id in outcome.unknown:
        complain(f"{delivery_id}: no delivery has this id")
    if everything and not outcome.retried:
        write("nothing is held or waiting")
    return 1 if outcome.refused or outcome.unknown else 0
