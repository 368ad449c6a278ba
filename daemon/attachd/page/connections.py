"""The page's connections: few at once, whatever comes, so that deliveries never lack descriptors.

uvicorn takes every one, and one that asks nothing costs a descriptor for as long as its other end likes.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 64
"""At once. Beyond them the one that has been there longest is cut: who asks now gets an answer."""

BACKLOG = 32
"""How many the event loop takes at a time, before it comes to cut any."""


class Connection(H11Protocol):
    """One connection of somebody who asks, among all those of its server."""

    since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, and cut the oldest one where there are too many."""
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > CONNECTIONS:
            oldest = min((each for each in self.connections if isinstance(each, Connection)), key=_age)
            self.connections.discard(oldest)
            oldest.transport.abort()


def _age(connection: Connection) -> float:
    return connection.since
