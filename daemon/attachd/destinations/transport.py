"""The way to the outside: to the API with the token, to storage without any credential.

Requests are prepared and sent by requests' adapters without a `Session`: what a session would add is
what must not happen here. It looks into `.netrc`, reads the environment anew for every call, keeps
cookies and follows redirects (a redirected PUT arrives empty, or becomes a GET that looks like success).
"""

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from os import environ
from pathlib import Path
from urllib.parse import urlsplit

from requests import PreparedRequest, Request, Response
from requests.auth import AuthBase
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from attachd import __version__
from attachd.core.protocols import Body
from attachd.core.settings import DestinationSettings
from attachd.destinations.connections import Line, Proxies
from attachd.destinations.faults import Fault, Sent, fault_of
from attachd.destinations.redaction import quoted, secrets_in
from attachd.errors import FileChanged, InvariantBroken, UserError
from attachd.model import ErrorKind

USER_AGENT = f"attachd/{__version__}"

API_ANSWER = 8 * 1024 * 1024
"""Bytes of an API's answer that are read; what is longer counts as unreadable."""

STORAGE_ANSWER = 64 * 1024
"""Bytes of a storage's answer that are read; the rest is not needed."""

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


class _NoAuth(AuthBase):
    """Adds nothing, and keeps requests from looking for credentials elsewhere."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


class _Bearer(AuthBase):
    """Adds the token."""

    def __init__(self, scheme: str, token: str) -> None:
        self._value = f"{scheme} {token}".strip()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class Stream:
    """A body as urllib3 wants it: with its length known, read in blocks, never past that length.

    Owner: the worker that sends it.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self.len = body.size  # requests takes Content-Length from here
        self.left = body.size

    def read(self, length: int = -1, /) -> bytes:
        """Give the next block.

        Raises:
            FileChanged: the body ended before its length; also whatever the body itself raises.
        """
        if not self.left:
            return b""
        block = self._body.read(self.left if length < 0 else min(length, self.left))
        if not block:
            raise FileChanged("the file became shorter while it was sent")
        self.left -= len(block)
        return block


class Transport:
    """Sends the calls of one destination. Used by many workers at once; holds no state of a call."""

    def __init__(self, settings: DestinationSettings, token: Callable[[], str]) -> None:
        self._url = settings.url
        self._scheme = settings.auth_scheme
        self._token = token
        self._timeouts = (settings.connect_timeout, settings.read_timeout)
        self._proxies = Proxies(settings.proxy)
        self._verify = _authorities(settings)
        self._line = Line(settings.workers)

    def post_json(self, payload: bytes) -> HttpAnswer:
        """Send a JSON document to the API, with the token.

        Raises:
            Fault: no answer came.
        """
        token = self._usable_token()
        request = Request(
            "POST",
            self._url,
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": USER_AGENT,
            },
            data=payload,
            auth=_Bearer(self._scheme, token),
        )
        return self._call(request, API_ANSWER, (token,))

    def put(self, url: str, content_type: str, body: Body) -> HttpAnswer:
        """Send a body to storage, without the token, with its length and its type given exactly.

        An empty type sends no such header. Refusals that come while the body is still being sent are read.

        Raises:
            Fault: no answer came.
            FileError: the body could not be read; comes through unchanged.
        """
        headers = {"User-Agent": USER_AGENT}
        if content_type:
            headers["Content-Type"] = content_type
        stream = Stream(body)
        # requests would send an empty stream chunked, which S3 refuses: github.com/psf/requests/issues/6294
        data = stream if body.size else b""
        request = Request("PUT", url, headers=headers, data=data, auth=_NoAuth())
        answer = self._call(request, STORAGE_ANSWER, secrets_in(url))
        if answer.status < 300 and stream.left:
            raise Fault(ErrorKind.NETWORK, Sent.UNKNOWN, f"{answer.host} answered before the file was sent")
        return answer

    def close(self) -> None:
        """Give all connections back."""
        self._line.close()

    def _usable_token(self) -> str:
        token = self._token()
        if not token or not token.isascii() or not token.isprintable():
            raise Fault(
                ErrorKind.AUTH, Sent.NO, "the token is empty or has characters that no token can have"
            )
        return token

    def _call(self, request: Request, limit: int, secrets: tuple[str, ...]) -> HttpAnswer:
        host = host_of(str(request.url))
        prepared = _prepared(request, host)
        try:
            response = self._line.call(
                prepared,
                timeouts=self._timeouts,
                verify=self._verify,
                proxies=self._proxies.for_url(str(prepared.url)),
            )
        except (RequestException, HTTPError, OSError) as error:
            # Cut off here: the libraries' texts hold URLs with their signatures.
            raise fault_of(error, host=host, begun=self._line.was_begun()) from None
        return HttpAnswer(
            status=response.status_code,
            headers=response.headers,
            body=_read(response, limit),
            host=host,
            secrets=secrets,
        )


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
    if "Content-Length" not in prepared.headers or "Transfer-Encoding" in prepared.headers:
        raise InvariantBroken("a request would be sent without a length")
    return prepared


def _read(response: Response, limit: int) -> bytes:
    """Read a body up to a limit. One that breaks off is no exception: the head of the answer came."""
    blocks = bytearray()
    with closing(response), suppress(HTTPError, OSError):  # what breaks off counts as unreadable later
        while len(blocks) < limit:
            block = response.raw.read(limit - len(blocks), decode_content=True)
            if not block:
                break
            blocks += block
    return bytes(blocks)
