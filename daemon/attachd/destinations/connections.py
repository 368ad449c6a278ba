"""HTTP connections that tell whether a request was begun, are never reused when stale, and send big blocks.

Three things that requests leaves open matter here. Whether a call may be repeated depends on whether any
of it left this machine, which the exceptions alone do not tell (a TLS alert comes from the handshake or
from half-way through the body). A connection that stood idle may be closed by the other side in the very
moment it is used again. And urllib3 limits the sending of a block by the time-out meant for connecting,
which a slow line cannot keep with blocks of 1 MiB.
"""

import ssl
import threading
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL
from requests.utils import select_proxy
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

BLOCK = 1024 * 1024
"""Bytes read from a body and handed to the socket at once; urllib3's 16 KiB halve the rate."""

MAX_IDLE = 4.0
"""Seconds a connection may have stood idle and still be used: common servers close theirs after 5."""


class _CallInProgress(threading.local):
    """What the connection knows about the call that its thread makes. Owner: that thread."""

    begun: bool = False
    send_timeout: float | None = None


_call = _CallInProgress()


class _Watched:
    """Mixed into urllib3's connections. Owner: the thread that took it out of its pool."""

    idle_since: float = 0.0

    def request(self: Any, method: str, url: str, **options: Any) -> None:
        """Connect first, so that what fails before the request is told from what fails during it."""
        if self.sock is None:
            self.connect()
        self.timeout = _call.send_timeout
        _call.begun = True
        try:
            super().request(method, url, **options)  # type: ignore[misc] # the class it is mixed into has it
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            # The TLS form of a broken pipe; urllib3 then reads the answer that may stand there already.
            raise BrokenPipeError(*error.args) from error


class _WatchedHTTP(_Watched, HTTPConnection):  # type: ignore[misc] # request() takes its options as a whole
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):  # type: ignore[misc] # as _WatchedHTTP
    pass


class _FreshOnly:
    """Mixed into urllib3's pools: closes what stood idle too long, so that it connects anew when used."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc] # the class it is mixed into has it
        if monotonic() - connection.idle_since > MAX_IDLE:
            connection.close()
        return connection

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.idle_since = monotonic()
        super()._put_conn(connection)  # type: ignore[misc] # as _get_conn


class _HTTPPool(_FreshOnly, HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP  # type: ignore[assignment] # urllib3 asks for its protocol, see _WatchedHTTP


class _HTTPSPool(_FreshOnly, HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS  # type: ignore[assignment] # as _HTTPPool


def _with_own_pools(pools: PoolManager) -> PoolManager:
    pools.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pools


class Line(HTTPAdapter):
    """The connections of one destination: no retries, nothing followed. Used by many threads."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=16, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make pools of watched connections (called by requests)."""
        super().init_poolmanager(*args, blocksize=BLOCK, **options)
        _with_own_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        """Make pools of watched connections through a proxy (called by requests).

        Raises:
            InvalidProxyURL: the proxy speaks something else than HTTP.
        """
        if urlsplit(proxy).scheme not in {"http", "https"}:
            raise InvalidProxyURL("only HTTP proxies can be used")
        pools: PoolManager = super().proxy_manager_for(proxy, blocksize=BLOCK, **options)
        return _with_own_pools(pools)

    def call(
        self,
        request: PreparedRequest,
        *,
        timeouts: tuple[float, float],
        verify: bool | str,
        proxies: Mapping[str, str],
    ) -> Response:
        """Send a request and give the head of its answer; whatever requests or urllib3 raise comes through.

        Args:
            request: with its length set.
            timeouts: seconds to connect, and seconds each block or answer may take.
            verify: True for the usual authorities, or the path of a CA file or directory.
            proxies: by URL scheme, as requests has them.
        """
        _call.begun = False
        _call.send_timeout = timeouts[1]
        proxy = select_proxy(str(request.url), dict(proxies))
        if proxy is not None and not _names_host(proxy):  # requests fails by other errors
            raise InvalidProxyURL("the proxy's URL names no host")
        return self.send(request, stream=True, timeout=timeouts, verify=verify, proxies=dict(proxies))

    @staticmethod
    def was_begun() -> bool:
        """Say whether any byte of this thread's last request may have left."""
        return _call.begun


def _names_host(proxy: str) -> bool:
    try:
        return bool(urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname)
    except ValueError:
        return False


class Proxies:
    """Which proxy a URL goes through: the given one for all, or what the environment said at the start.

    From the environment, `NO_PROXY` and everything on loopback goes straight; a proxy that is given in
    the settings is used without exception.
    """

    def __init__(self, given: str | None) -> None:
        self._given = {"http": given, "https": given} if given else None
        self._environment = {} if given else getproxies()
        self._exempt = self._environment.pop("no", "").replace(" ", "").lower().split(",")

    def for_url(self, url: str) -> Mapping[str, str]:
        """Give the proxies for one URL, in requests' form."""
        if self._given is not None:
            return self._given
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        address = parts.netloc.rpartition("@")[2].lower()
        if is_loopback(host) or any(_covers(entry, host, address) for entry in self._exempt):
            return {}
        return self._environment


def _covers(entry: str, host: str, address: str) -> bool:
    """Say whether one entry of `NO_PROXY` covers a host: a name, a suffix, `*`, HOST:PORT, or a network."""
    if "/" in entry:
        return _is_in_network(host, entry)
    name = entry.lstrip(".")
    return entry == "*" or name in {host, address} or (name != "" and host.endswith(f".{name}"))


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:  # a name, or an entry that is no network
        return False


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
