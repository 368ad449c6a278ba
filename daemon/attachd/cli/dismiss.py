"""`attachd dismiss`: a person says that deliveries are not needed."""

import click

from attachd.cli.entries import DELIVERY_ID
from attachd.cli.words import REASON, ledger_to_write, report, word


@click.command("dismiss")
@click.argument("delivery_ids", metavar="ID…", type=DELIVERY_ID, nargs=-1, required=True)
@REASON
@click.pass_context
def command(ctx: click.Context, *, delivery_ids: tuple[int, ...], reason: str) -> int:
    """Say that held, waiting or vanished deliveries are not needed; they count as no problem from then on.

    Others are refused with the reason. `attachd retry ID` takes it back. A running service notices within a
    second.
    """
    with ledger_to_write(ctx, "dismiss") as ledger:
        outcome = ledger.dismiss(delivery_ids, word("dismiss", reason))
    return report(outcome.done, outcome.refused, outcome.unknown, verb="dismissed")
