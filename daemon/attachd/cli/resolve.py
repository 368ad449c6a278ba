"""`attachd resolve`: a person settles whether a delivery is attached."""

import click

from attachd.cli.entries import DELIVERY_ID
from attachd.cli.words import REASON, ledger_to_write, report, word


@click.command("resolve")
@click.argument("delivery_id", metavar="ID", type=DELIVERY_ID)
@click.option("--attached", "remote_id", metavar="REMOTE_ID", help="It is attached, as this attachment.")
@click.option("--not-attached", is_flag=True, help="It is not attached: attachd may send it.")
@REASON
@click.pass_context
def command(
    ctx: click.Context, *, delivery_id: int, remote_id: str | None, not_attached: bool, reason: str
) -> int:
    """Settle a doubtful or held delivery by your word, after you looked at the destination.

    With --attached it is done, under the id that the attachment has there; others with the same bytes become
    duplicates. With --not-attached the unanswered call is closed and the delivery goes again; bytes that
    storage has already are not sent twice. A running service notices within a second.
    """
    if (remote_id is not None) == not_attached:
        raise click.UsageError("Give exactly one of --attached REMOTE_ID and --not-attached.", ctx=ctx)
    attached_as = None if remote_id is None else _remote_id(ctx, remote_id)
    with ledger_to_write(ctx, "resolve") as ledger:
        outcome = ledger.resolve(delivery_id, attached_as, word("resolve", reason))
    return report(outcome.done, outcome.refused, outcome.unknown, verb="resolved")


def _remote_id(ctx: click.Context, given: str) -> str:
    text = given.strip()
    if not text or not text.isprintable():
        raise click.BadParameter("the id of the attachment, as its destination shows it", ctx=ctx)
    return text
