"""The destinations of rules.yaml for a command that asks them something beside the service."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from attachd.core.accounts import Account
from attachd.core.protocols import Bind
from attachd.core.settings import Settings
from attachd.destinations.registry import build as build_destination
from attachd.service.build import read_tokens
from attachd.service.clock import SystemClock


@contextmanager
def open_accounts(settings: Settings, bind: Bind | None = None) -> Iterator[Mapping[str, Account]]:
    """Give every destination by its name, ready to be asked; nothing is sent yet.

    Args:
        settings: what rules.yaml says.
        bind: tells which tenant a name is bound to, where answers of another one would mislead.

    Raises:
        ConfigError: a secret cannot be had; names all of them.
    """
    tokens, clock = read_tokens(settings, os.environ), SystemClock()
    with ExitStack() as opened:
        accounts = {}
        for name, account in settings.destinations.items():
            accounts[name] = build_destination(account, tokens[name], clock, bind=bind)
            opened.callback(accounts[name].close)
        yield accounts
