"""What the reading commands start from: rules.yaml, without any secret, and the ledger it names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from attachd.cli.output import complain
from attachd.config.load import format_problems, load
from attachd.config.search import find_config
from attachd.core.paths import escape
from attachd.core.settings import ServiceSettings, Settings
from attachd.errors import ConfigError
from attachd.ledger.connection import is_begun
from attachd.ledger.reports import Reports


def read_settings(ctx: click.Context) -> Settings:
    """Find and read rules.yaml without asking for what only `run` needs.

    Raises:
        ConfigError: it does not check out.
        UserError: there is none.
    """
    settings, _warnings = load(config_file(ctx), resolve=False)
    return settings


def read_what_can_be(ctx: click.Context) -> tuple[Settings, int]:
    """Read rules.yaml for a command that only looks into the ledger; a broken file does not hide the ledger.

    Returns:
        The settings and the exit code to end with: 0, or 78 for a file that does not check out. All that is
        known of that one then are its name and its ledger, and its problems were written to standard error.

    Raises:
        ConfigError: it does not check out, and its ledger cannot be told or is not there.
        UserError: there is none.
    """
    try:
        return read_settings(ctx), 0
    except ConfigError as error:
        if error.ledger is None or not is_begun(error.ledger):
            raise
        complain(*problem_lines(error))
        return _ledger_alone(error.file, error.ledger), error.exit_code


def problem_lines(error: ConfigError) -> list[str]:
    """Say everything that is wrong in rules.yaml, one problem a line, then how many there are."""
    return [*format_problems(error), f"attachd: {error.message}"]


def _ledger_alone(file: str, ledger: str) -> Settings:
    return Settings(
        file=file, ledger=ledger, service=ServiceSettings(), timezone=None, destinations={}, folders=()
    )


def config_file(ctx: click.Context) -> Path:
    """Give the rules.yaml to use: `-c`, `$ATTACHD_CONFIG`, `./rules.yaml`, `/etc/attachd/rules.yaml`."""
    return find_config(ctx.find_root().obj, os.environ, Path.cwd())


def has_ledger(settings: Settings) -> bool:
    """Say whether the ledger has come about: before the first `run` it has not."""
    return is_begun(settings.ledger)


@contextmanager
def reports(settings: Settings) -> Iterator[Reports | None]:
    """Open the ledger for reading; None, with a word on standard error, where there is none yet."""
    if not has_ledger(settings):
        complain(f"attachd: no ledger at {escape(settings.ledger)} yet: `attachd run` makes it")
        yield None
        return
    with Reports.open(settings.ledger) as opened:
        yield opened
