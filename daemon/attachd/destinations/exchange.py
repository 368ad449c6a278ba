"""One HTTP exchange: a request goes out as it was made, an answer or a `Fault` comes back.

Requests are prepared and sent by requests' adapters without a `Session`: what a session would add is
what must not happen here. It looks into `.netrc`, reads the environment anew for every call, keeps
cookies and follows redirects (a redirected PUT arrives empty, or becomes a GET that looks like success).
"""

import logging
import re
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from os import environ
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from requests import PreparedRequest, Request, Response
from requests.auth import AuthBase
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from attachd import __version__
from attachd.core.settings import DestinationSettings
from attachd.destinations.connections import BLOCK, Line, Proxies
from attachd.destinations.faults import fault_of
from attachd.destinations.redaction import quoted
from attachd.errors import InvariantBroken, UserError

USER_AGENT = f"attachd/{__version__}"

TRICKLE = 5.0
"""How many times `timeouts.read` the whole body of an answer may take."""

# urllib3 writes whole URLs, signatures included, into its records, some of them as warnings.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What the other side said.

    Attributes:
        status: the HTTP status.
        headers: found in any case of letters.
        body: what was read of the body; it may have broken off, or be longer than what is read.
        host: who said it.
        secrets: what the request carried that must not be shown.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    host: str
    secrets: tuple[str, ...] = field(repr=False)

    def quoted(self, text: str) -> str:
        """Make a part of the answer fit to be shown."""
        return quoted(text, *self.secrets)

    def retry_after(self, now: datetime) -> float | None:
        """Read `Retry-After` as seconds from now (RFC 9110, section 10.2.3): a number or an HTTP date."""
        value = self.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", value):
            return float(value)
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())


class NoAuth(AuthBase):
    """Adds nothing, and keeps requests from looking for credentials elsewhere."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Give the request as it is (called by requests)."""
        return request


class Exchange:
    """Sends requests with one destination's certificates, proxy and time-outs. Used by many threads at once.

    Args:
        settings: of the destination.
        connections: kept open for each host.

    Raises:
        UserError: there is no such CA file.
    """

    def __init__(self, settings: DestinationSettings, connections: int) -> None:
        self._timeouts = (settings.connect_timeout, settings.read_timeout)
        self._proxies = Proxies(settings.proxy)
        self._verify = _authorities(settings)
        self._line = Line(connections)

    def send(self, request: Request, limit: int, secrets: tuple[str, ...]) -> HttpAnswer:
        """Send a request and read its answer.

        Args:
            request: with all its headers.
            limit: bytes of the answer's body that are read.
            secrets: what the request carries that must not be shown.

        Raises:
            Fault: no answer came.
        """
        return self._answer(self._call(request), request, limit, secrets)

    def fetch(
        self, request: Request, limit: int, secrets: tuple[str, ...]
    ) -> Generator[bytes, None, HttpAnswer]:
        """Send a request, give the blocks of a good answer as they come, and return its head.

        The arguments are those of `send`; `limit` is for the body of a refusal, which is no block.

        Raises:
            Fault: no answer came, or it broke off.
        """
        response = self._call(request)
        if not 200 <= response.status_code < 300:
            return self._answer(response, request, limit, secrets)
        with closing(response):
            while block := _block(response, host_of(str(request.url))):
                yield block
        return self._answer(response, request, 0, secrets)

    def _answer(
        self, response: Response, request: Request, limit: int, secrets: tuple[str, ...]
    ) -> HttpAnswer:
        return HttpAnswer(
            status=response.status_code,
            headers=response.headers,
            body=_read(response, limit, monotonic() + TRICKLE * self._timeouts[1]),
            host=host_of(str(request.url)),
            secrets=secrets,
        )

    def _call(self, request: Request) -> Response:
        host = host_of(str(request.url))
        prepared = _prepared(request, host)
        try:
            return self._line.call(
                prepared,
                timeouts=self._timeouts,
                verify=self._verify,
                proxies=self._proxies.for_url(str(prepared.url)),
            )
        except (RequestException, HTTPError, OSError) as error:
            # Cut off here: the libraries' texts hold URLs with their signatures.
            raise fault_of(error, host=host, begun=self._line.was_begun()) from None

    def close(self) -> None:
        """Give all connections back."""
        self._line.close()


def host_of(url: str) -> str:
    """Give host and port of a URL as people know it, without credentials, path and query."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _authorities(settings: DestinationSettings) -> bool | str:
    path = settings.ca_file or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    if not path:
        return True
    if not Path(path).exists():
        raise UserError(
            f"destination {settings.name}: there is no CA file {path}",
            hint="correct ca_file in rules.yaml, or REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE in the environment",
        )
    return path


def _prepared(request: Request, host: str) -> PreparedRequest:
    try:
        prepared = request.prepare()
    except RequestException as error:
        raise fault_of(error, host=host, begun=False) from None
    unsized = prepared.method != "GET" and "Content-Length" not in prepared.headers
    if unsized or "Transfer-Encoding" in prepared.headers:
        raise InvariantBroken("a request would be sent without a length")
    return prepared


def _block(response: Response, host: str) -> bytes:
    """Read the next block of a download, as it lies in storage; b"" at its end."""
    try:
        return bytes(response.raw.read(BLOCK, decode_content=False))
    except (HTTPError, OSError) as error:
        raise fault_of(error, host=host, begun=True) from None


def _read(response: Response, limit: int, until: float) -> bytes:
    """Read a body up to a limit; one that breaks off is no exception, and b"": the head of the answer came.

    So is one that still trickles at `until` (monotonic seconds): each byte in time, it would never time out.
    """
    blocks = bytearray()
    with closing(response), suppress(HTTPError, OSError):
        while monotonic() < until:
            block = response.raw.read1(limit - len(blocks), decode_content=True)
            blocks += block
            if not block or len(blocks) >= limit:
                return bytes(blocks)
    return b""
