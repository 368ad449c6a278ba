"""What the commands share that write a person's word to the ledger: who it is, the ledger, the report."""

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import click

from attachd.cli.opening import has_ledger, read_settings
from attachd.cli.output import complain, write
from attachd.core.paths import escape
from attachd.errors import UserError
from attachd.ledger.persons import Word
from attachd.ledger.store import SqliteLedger

LONGEST_REASON = 500
"""Characters of a reason that history keeps."""

REASON = click.option("--reason", default="", metavar="TEXT", help="Why; kept in the delivery's history.")


def user_name() -> str:
    """Give the name of the user who runs the command, not of the root that sudo(8) made of them."""
    uid = os.getuid()
    if uid == 0 and os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under a number that nobody gave a name
        return f"user {uid}"


def word(command: str, reason: str = "") -> Word:
    """Make a person's word of now; `by` says the command and the user, as `dismiss (anna)`."""
    said = escape(" ".join(reason.split()))[:LONGEST_REASON]
    return Word(at=datetime.now(UTC), by=f"{command} ({escape(user_name())})", reason=said)


@contextmanager
def ledger_to_write(ctx: click.Context, purpose: str) -> Iterator[SqliteLedger]:
    """Open the ledger that rules.yaml names, beside a running service or without one.

    Raises:
        UserError: there is none yet, so that there is nothing for `purpose`.
    """
    settings = read_settings(ctx)
    if not has_ledger(settings):
        raise UserError(
            f"no ledger at {escape(settings.ledger)} yet, so there is nothing to {purpose}",
            hint="`attachd run` makes it",
        )
    with closing(SqliteLedger.open(settings.ledger, create=False)) as ledger:
        yield ledger


def report(done: Mapping[int, str], refused: Mapping[int, str], unknown: Sequence[int], *, verb: str) -> int:
    """Say what became of each id and give the exit code: 1 where any was refused or unknown."""
    for delivery_id, what in done.items():
        write(f"{delivery_id}: {what}")
    for delivery_id, reason in refused.items():
        complain(f"{delivery_id}: not {verb}: {reason}")
    for delivery_id in unknown:
        complain(f"{delivery_id}: no delivery has this id")
    return 1 if refused or unknown else 0
