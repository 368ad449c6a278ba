"""`attachd check`: everything that is wrong with rules.yaml, at once."""

import click

from attachd.cli.opening import config_file
from attachd.cli.output import complain, write
from attachd.config.load import format_problems, load
from attachd.core.settings import Settings


@click.command("check")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Validate rules.yaml and run its examples.

    Says everything that is wrong at once, as FILE:LINE:COL: path: what; hint. Exit code 78 where something
    is; warnings alone are none. Needs no secret and sends nothing.
    """
    file = config_file(ctx)
    settings, warnings = load(file, resolve=False)
    complain(*format_problems(warnings, settings.file))
    write(f"{settings.file}: ok, {_counted(settings)}")
    return 0


def _counted(settings: Settings) -> str:
    rules = [rule for folder in settings.folders for rule in folder.rules]
    examples = sum(len(rule.examples) for rule in rules)
    return ", ".join(
        [
            plural(len(settings.folders), "folder"),
            plural(len(rules), "rule"),
            plural(examples, "example"),
        ]
    )


def plural(count: int, noun: str) -> str:
    """Give a count with its noun: `1 rule`, `2 rules`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
