"""What every account is made from, and the way to its API and its storage that all of them share."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event

from attachd.core.protocols import Bind, Clock
from attachd.core.settings import DestinationSettings
from attachd.destinations.graphql import GraphQL, Hints, Reply, Whose
from attachd.destinations.limits import require_size
from attachd.destinations.signin import TokenSource
from attachd.destinations.storage import Storage
from attachd.destinations.tenancy import Tenancy
from attachd.destinations.transport import Transport
from attachd.model import ErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a destination is made from.

    Attributes:
        settings: as rules.yaml has them.
        token: gives the API's token; asked for every call, since it may change. Closed with the destination.
        clock: both clocks.
        bind: binds the destination's name to the tenant that the token opens; None to leave that unchecked.
        stopped: set when a stop cannot wait any longer.
    """

    settings: DestinationSettings
    token: TokenSource
    clock: Clock
    bind: Bind | None = None
    stopped: Event | None = None


class Linked:
    """An account with a GraphQL API beside object storage. Used by many workers at once.

    Args:
        given: what it is made from.
        hints: what a person can do, in the words of this API.
        whose: how its tenant is found out.
    """

    def __init__(self, given: Given, *, hints: Hints, whose: Whose) -> None:
        settings, clock = given.settings, given.clock
        self.name = settings.name
        self._max_file_size = settings.max_file_size
        self._source = given.token
        self._transport = Transport(settings, clock.monotonic, given.stopped)
        self._graphql = GraphQL(
            self._transport,
            source=given.token,
            tenancy=Tenancy(settings, given.bind),
            url=settings.url,
            hints=hints,
            whose=whose,
            now=clock.now,
        )
        self._storage = Storage(self._transport, hosts=settings.storage_hosts, now=clock.now)

    def admit(self, size: int) -> None:
        """Refuse a file that is larger than `limits.max_file_size`.

        Raises:
            Trouble: it is.
        """
        require_size(size, self._max_file_size)

    def fetch(self, download_url: str) -> Iterator[bytes]:
        """Give the bytes of an attachment, from storage and without the token.

        Raises:
            Trouble: storage did not give them.
        """
        return self._storage.get(download_url)

    def _require_absent(self, reply: Reply, field: str) -> None:
        """Make sure that a reply without an object says that there is none.

        Raises:
            Trouble: it says something else.
        """
        if not reply.errors and field in reply.data:
            return
        trouble = self._graphql.trouble_of(reply, field)
        if trouble.kind is not ErrorKind.UNKNOWN_TARGET:
            raise trouble

    def _name_in(self, reply: Reply, field: str, *untold: ErrorKind) -> object:
        """Give the name of whom the token belongs to; None where trouble of these kinds keeps it untold.

        Raises:
            Trouble: another one.
        """
        name = reply.at(field, "name")
        if name is None and reply.errors:
            trouble = self._graphql.trouble_of(reply, field)
            if trouble.kind not in untold:
                raise trouble
        return name

    def close(self) -> None:
        """Give connections back."""
        self._transport.close()
        self._source.close()
