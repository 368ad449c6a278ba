"""Which kinds of destination there are. A new one is added here, by name."""

from collections.abc import Mapping
from threading import Event
from typing import Protocol

from attachd.core.accounts import Account
from attachd.core.protocols import Bind, Clock
from attachd.core.settings import DestinationSettings
from attachd.destinations.ion import Ion
from attachd.destinations.signin import TokenSource
from attachd.errors import UserError


class Factory(Protocol):
    """Makes a destination; the arguments are those of `build`."""

    def __call__(
        self,
        settings: DestinationSettings,
        token: TokenSource,
        clock: Clock,
        *,
        bind: Bind | None,
        stopped: Event | None,
    ) -> Account:
        """Make it; nothing is sent yet."""
        ...


KINDS: Mapping[str, Factory] = {"ion": Ion}
"""The `kind` of a destination in rules.yaml, and what makes it."""


def build(
    settings: DestinationSettings,
    token: TokenSource,
    clock: Clock,
    *,
    bind: Bind | None = None,
    stopped: Event | None = None,
) -> Account:
    """Make a destination; nothing is sent yet.

    Args:
        settings: as rules.yaml has them.
        token: gives the API's token; asked for every call, since it may change. Closed with the destination.
        clock: both clocks.
        bind: the ledger's; None to send without looking whose account it is, for those who only ask.
        stopped: set when a stop cannot wait any longer for the limits' sake.

    Raises:
        UserError: there is no such kind, or its CA file is missing.
    """
    factory = KINDS.get(settings.kind)
    if factory is None:
        raise UserError(
            f"destination {settings.name}: there is no kind {settings.kind!r}",
            hint=f"kinds are: {', '.join(KINDS)}",
        )
    return factory(settings, token, clock, bind=bind, stopped=stopped)
