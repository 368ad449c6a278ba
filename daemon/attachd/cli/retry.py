"""`attachd retry`: held and waiting deliveries are tried again, done ones sent anew."""

import click

from attachd.cli.entries import DELIVERY_ID
from attachd.cli.output import write
from attachd.cli.words import ledger_to_write, report, word
from attachd.ledger.retries import RetryOutcome


@click.command("retry")
@click.argument("delivery_ids", metavar="[ID]…", type=DELIVERY_ID, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All held and waiting deliveries.")
@click.option(
    "--again", is_flag=True, help="Send done ones anew, though the same bytes are attached already."
)
@click.pass_context
def command(ctx: click.Context, *, delivery_ids: tuple[int, ...], everything: bool, again: bool) -> int:
    """Try held and waiting deliveries again, by their ids or with --all.

    One whose call was never answered is reconciled again, never repeated blindly. With --again a done one is
    sent anew, as a delivery of its own, and attached a second time. A running service notices within a
    second.
    """
    if everything == bool(delivery_ids):
        raise click.UsageError("Give the ids to retry, or --all.", ctx=ctx)
    if again and everything:
        raise click.UsageError("--again goes with ids, not with --all.", ctx=ctx)
    said = word("retry")
    with ledger_to_write(ctx, "retry") as ledger:
        if again:
            anew = ledger.send_anew(delivery_ids, said)
            return report(anew.done, anew.refused, anew.unknown, verb="sent anew")
        outcome = ledger.retry(None if everything else delivery_ids, said.at, said.by)
    return _report(outcome, everything=everything)


def _report(outcome: RetryOutcome, *, everything: bool) -> int:
    if everything and not outcome.retried:
        write("nothing is held or waiting")
    again = dict.fromkeys(outcome.retried, "goes again")
    for delivery_id, elder_id in outcome.behind.items():
        again[delivery_id] = f"follows delivery {elder_id}, which has the same bytes and goes first"
    return report(again, outcome.refused, outcome.unknown, verb="tried again")
