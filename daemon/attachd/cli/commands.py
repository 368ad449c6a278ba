"""The list of commands. Each one's module is imported only when it is asked for, so `--help` is quick."""

from importlib import import_module
from typing import TYPE_CHECKING

import click

from attachd.core.sentences import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "run": ("attachd.cli.run", "Run the service in the foreground; --once: one scan, deliver, end."),
    "check": (
        "attachd.cli.check",
        "Validate rules.yaml, run its examples; --online: token, schema, folders.",
    ),
    "explain": ("attachd.cli.explain", "Say what the rules make of a path; sends nothing."),
    "status": ("attachd.cli.status", "Show what is attached, on its way, or needs you."),
    "list": ("attachd.cli.listing", "List deliveries and files without one, newest first."),
    "show": ("attachd.cli.show", "Show one delivery with its whole history."),
    "retry": ("attachd.cli.retry", "Try held and waiting deliveries again; --again: send a done one anew."),
    "dismiss": ("attachd.cli.dismiss", "Say that held, waiting or vanished deliveries are not needed."),
    "resolve": ("attachd.cli.resolve", "Settle by your word whether a doubtful or held one is attached."),
    "verify": ("attachd.cli.verify", "Compare disk, ledger and destination: what is safe to delete?"),
    "simulator": ("attachd.cli.simulator", "Run a local stand-in for ION and its storage."),
    "demo": ("attachd.cli.demo", "Attach sample files at the simulator, from start to end."),
    "schema": ("attachd.cli.schema", "Print the JSON Schema of rules.yaml."),
}
"""Module and summary of each command, in the order of the help. A module's command is its `command`."""

WITHOUT_RULES = frozenset({"simulator", "demo", "schema"})
"""Commands that read no rules.yaml of anybody's."""

CONFIG = ("-c", "--config")


def complete_path(ctx: click.Context, parameter: click.Parameter, begun: str) -> "list[CompletionItem]":
    """Let the shell complete the name of a file: where nothing is given, it completes none either."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only where a shell asks

    del ctx, parameter
    return [CompletionItem(begun, type="file")]


class Commands(click.Group):
    """A group of commands whose modules are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and give its command.

        Raises:
            click.UsageError: there is no such command, and this is no completion of a line half written.
        """
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:
                return None
            raise click.UsageError(
                f"there is no command {cmd_name!r}; {did_you_mean(cmd_name, COMMANDS)}", ctx=ctx
            )
        command = import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command if cmd_name in WITHOUT_RULES else _taking_config(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries without importing any command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _taking_config(command: click.Command) -> click.Command:
    """Let `-c` stand behind the command as well as before it, as people type it."""
    if not any(CONFIG[0] in parameter.opts for parameter in command.params):
        behind = click.Option(
            CONFIG,
            metavar="FILE",
            shell_complete=complete_path,
            expose_value=False,
            callback=_remember_config,
            help="rules.yaml to use; may stand before the command as well.",
        )
        command.params.append(behind)
    return command


def _remember_config(ctx: click.Context, _parameter: click.Parameter, given: str | None) -> None:
    if given is not None:
        ctx.find_root().obj = given
