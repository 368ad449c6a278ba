"""Which kinds of destination there are. A new one is added here, by name."""

from collections.abc import Callable, Mapping

from attachd.core.protocols import Clock, Destination
from attachd.core.settings import DestinationSettings
from attachd.destinations.ion import Ion
from attachd.errors import UserError

Factory = Callable[[DestinationSettings, Callable[[], str], Clock], Destination]
"""Makes a destination from its settings, a source of its token, and the clock."""

KINDS: Mapping[str, Factory] = {"ion": Ion}
"""The `kind` of a destination in rules.yaml, and what makes it."""


def build(settings: DestinationSettings, token: Callable[[], str], clock: Clock) -> Destination:
    """Make a destination; nothing is sent yet.

    Args:
        settings: as rules.yaml has them.
        token: gives the API's token; asked for every call, since it may change.
        clock: both clocks.

    Raises:
        UserError: there is no such kind, or its CA file is missing.
    """
    factory = KINDS.get(settings.kind)
    if factory is None:
        raise UserError(
            f"destination {settings.name}: there is no kind {settings.kind!r}",
            hint=f"kinds are: {', '.join(KINDS)}",
        )
    return factory(settings, token, clock)
