"""Which kinds of destination there are. A new one is added here, by name."""

from collections.abc import Callable, Mapping
from threading import Event
from typing import Protocol

from attachd.core.accounts import Account
from attachd.core.protocols import Bind, Clock
from attachd.core.settings import DestinationSettings
from attachd.destinations.glue import Glue
from attachd.destinations.ion import Ion
from attachd.destinations.linked import Given
from attachd.destinations.rehearsal import Rehearsal
from attachd.destinations.signin import TokenSource
from attachd.errors import UserError


class Factory(Protocol):
    """Makes a destination, as `build` does."""

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


Kinds = Mapping[str, Callable[[Given], Account]]
"""What makes a destination, by its `kind` in rules.yaml."""

KINDS: Kinds = {"ion": Ion, "glue": Glue}
"""The destinations themselves."""

REHEARSED: Kinds = dict.fromkeys(KINDS, Rehearsal)
"""A stand-in for each that says yes to everything and sends nothing."""


def build(
    settings: DestinationSettings,
    token: TokenSource,
    clock: Clock,
    *,
    bind: Bind | None = None,
    stopped: Event | None = None,
    kinds: Kinds = KINDS,
) -> Account:
    """Make a destination; nothing is sent yet.

    Args:
        settings: as rules.yaml has them.
        token: gives the API's token; asked for every call, since it may change. Closed with the destination.
        clock: both clocks.
        bind: the ledger's; None to send without looking whose account it is, for those who only ask.
        stopped: set when a stop cannot wait any longer for the limits' sake.
        kinds: what is made of each kind.

    Raises:
        UserError: there is no such kind, or its CA file is missing.
    """
    make = kinds.get(settings.kind)
    if make is None:
        raise UserError(
            f"destination {settings.name}: there is no kind {settings.kind!r}",
            hint=f"kinds are: {', '.join(kinds)}",
        )
    return make(Given(settings=settings, token=token, clock=clock, bind=bind, stopped=stopped))
