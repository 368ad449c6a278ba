"""`attachd simulator`: the local stand-in for ION, Glue and their storage, until it is stopped."""

from typing import Any

import click

from attachd.cli.output import write
from attachd.cli.stopping import stop_event
from attachd.errors import UserError


def missing_simulator(error: ModuleNotFoundError) -> UserError:
    """Say what the simulator misses and how to install it."""
    return UserError(
        f"the simulator needs the extra `simulator`: the package {error.name} is not installed",
        hint="install it with: pip install 'attachd[simulator]'",
    )


@click.command("simulator")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="P",
    help="Listen on this port of 127.0.0.1; else on any free one.",
)
@click.option(
    "--glue-upload",
    type=click.Choice(["put", "post"]),
    default="put",
    show_default=True,
    help="What Glue's upload tickets ask for: a PUT, or a POST of a form.",
)
@click.option(
    "--glue-messages",
    type=click.Choice(["attachments", "messages"]),
    default="attachments",
    show_default=True,
    help="Glue's sendMessage as on this page of the vendor's; with messages it takes a thread or recipients.",
)
@click.option("--glue-unique-by", is_flag=True, help="Let Glue's messages have uniqueBy.")
@click.option("--glue-metadata", is_flag=True, help="Let Glue's createFile take metadata.")
@click.option(
    "--glue-success",
    type=click.Choice(["204", "200", "201"]),
    default="204",
    show_default=True,
    help="Status of an upload by POST.",
)
def command(*, port: int, glue_success: str, **glue: Any) -> int:
    """Run a local stand-in for ION, Glue and their storage on 127.0.0.1, until SIGINT or SIGTERM.

    Prints what to set so that `attachd run` uses it, and where its page is.
    """
    try:
        from attachd.simulator import serve  # noqa: PLC0415 - needs an extra that may not be installed
    except ModuleNotFoundError as error:
        raise missing_simulator(error) from error
    with stop_event() as stop:
        try:
            serve(port, write, stop, glue_success=int(glue_success), **glue)
        except OSError as error:
            raise UserError(
                f"cannot listen on 127.0.0.1:{port}: {error.strerror}",
                hint="choose another port, or leave it out",
            ) from error
    return 0
