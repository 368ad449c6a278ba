"""Where the page listens: an address as a value, and sockets bound to it. Needs no extra."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""No such address, or no such family: `localhost` is `::1` as well where IPv6 is switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen, and the token that has to be shown there.

    Attributes:
        host: a name or an address; an IPv6 one without brackets.
        port: 0 for any that is free.
        token: None where everybody who gets there may look.
    """

    host: str
    port: int
    token: str | None = field(default=None, repr=False)

    def shown(self, port: int | None = None) -> str:
        """Give `HOST:PORT` for people, with the port that it has become."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port if port is None else port}"


def is_anywhere(host: str) -> bool:
    """Say whether a host stands for every address: `0.0.0.0` and `::`, however they are spelled."""
    try:
        return host == "0" or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


@contextmanager
def bound(listen: Listen) -> Iterator[list[socket.socket]]:
    """Listen on every address of the host, with port 0 on its first one; closed in the end.

    An address that this machine does not have (a name may have several) is passed over.

    Raises:
        OSError: there is none to listen on, or its port is taken.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(listen):
            with _where_there():
                sockets.append(_listening(listen, family, address))
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, "this machine does not have that address")
        yield sockets
    finally:
        for each in sockets:
            each.close()


def _addresses(listen: Listen) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses: list[tuple[socket.AddressFamily, tuple[str, int]]] = list(
        dict.fromkeys((family, (str(to[0]), listen.port)) for family, _, _, _, to in found)
    )
    return addresses[:1] if listen.port == 0 else addresses


def _listening(listen: Listen, family: int, address: tuple[str, int]) -> socket.socket:
    both = family == socket.AF_INET6 and is_anywhere(listen.host) and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, dualstack_ipv6=both)


@contextmanager
def _where_there() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
