"""What the reading commands start from: rules.yaml, without any secret, and the ledger it names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from attachd.cli.output import complain
from attachd.config.load import load
from attachd.config.search import find_config
from attachd.core.paths import escape
from attachd.core.settings import Settings
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
    opened = Reports.open(settings.ledger)
    try:
        yield opened
    finally:
        opened.close()
