"""The way to the outside: to the API with the token, to storage without any credential."""

from collections.abc import Callable, Generator, Mapping
from threading import Event
from typing import Protocol

from requests import PreparedRequest, Request
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from attachd.core.settings import DestinationSettings
from attachd.destinations import pace
from attachd.destinations.exchange import USER_AGENT, Exchange, HttpAnswer, NoAuth
from attachd.destinations.faults import Fault, Sent
from attachd.destinations.redaction import secrets_in
from attachd.errors import FileChanged
from attachd.model import ErrorKind

API_ANSWER = 8 * 1024 * 1024
"""Bytes of an API's answer that are read; what is longer counts as unreadable."""

STORAGE_ANSWER = 64 * 1024
"""Bytes of a storage's answer that are read; the rest is not needed."""


class _Bearer(AuthBase):
    """Adds the token."""

    def __init__(self, scheme: str, token: str) -> None:
        self._value = f"{scheme} {token}".strip()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class Sized(Protocol):
    """Bytes whose number is known before they are read."""

    size: int

    def read(self, length: int = -1, /) -> bytes:
        """Give at most `length` bytes, b"" at the end."""
        ...


class Stream:
    """A body as urllib3 wants it: with its length known, read in blocks, never past that length.

    Owner: the worker that sends it.

    Args:
        body: what is sent.
        block: bytes given out at once, at most.
        wait: returns when that many bytes may go.
    """

    def __init__(self, body: Sized, block: int | None, wait: Callable[[int], None]) -> None:
        self._body = body
        self._block = block or body.size
        self._wait = wait
        self.len = body.size  # requests takes Content-Length from here
        self.left = body.size

    def read(self, length: int = -1, /) -> bytes:
        """Give the next block, once it may go.

        Raises:
            FileChanged: the body ended before its length; also whatever the body itself raises.
            StopRequested: the service stops.
        """
        if not self.left:
            return b""
        wanted = min(self.left, self._block)
        block = self._body.read(wanted if length < 0 else min(length, wanted))
        if not block:
            raise FileChanged("the file became shorter while it was sent")
        self._wait(len(block))
        self.left -= len(block)
        return block


class Transport:
    """Sends the calls of one destination. Used by many workers at once; holds no state of a call.

    Args:
        settings: of the destination.
        monotonic: seconds of a clock that never jumps, for the limits.
        stopped: set when a stop cannot wait any longer.
    """

    def __init__(
        self, settings: DestinationSettings, monotonic: Callable[[], float], stopped: Event | None = None
    ) -> None:
        self._url = settings.url
        self._scheme = settings.auth_scheme
        self._exchange = Exchange(settings, settings.workers)
        stopped = stopped or Event()
        self._calls = pace.calls(settings.requests_per_second, monotonic, stopped)
        self._transfers = pace.transfers(settings.bandwidth, monotonic, stopped)
        self._block = pace.block_of(settings.bandwidth)

    def post_json(self, payload: bytes, token: str) -> HttpAnswer:
        """Send a JSON document to the API, with the token, once its turn has come.

        Raises:
            Fault: no answer came.
            StopRequested: the service stops; nothing was sent.
        """
        self._calls.wait()
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
        return self._exchange.send(request, API_ANSWER, (token,))

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Sized,
        secrets: tuple[str, ...] = (),
    ) -> HttpAnswer:
        """Send a body to storage, without the token, with its length and with these headers as they are.

        Refusals that come while the body is still being sent are read.

        Args:
            method: PUT or POST.
            url: signed.
            headers: beside the length; ours are only added where none of the same name is given.
            body: read once, from its start.
            secrets: what must not be shown, beside what the URL holds.

        Raises:
            Fault: no answer came.
            FileError: the body could not be read; comes through unchanged.
            StopRequested: the service stops.
        """
        stream = Stream(body, self._block, self._transfers.wait)
        # requests would send an empty stream chunked, which S3 refuses: github.com/psf/requests/issues/6294
        data = stream if body.size else b""
        named = CaseInsensitiveDict({"User-Agent": USER_AGENT, **headers})
        request = Request(method, url, headers=named, data=data, auth=NoAuth())
        answer = self._exchange.send(request, STORAGE_ANSWER, (*secrets_in(url), *secrets))
        if answer.status < 300 and stream.left:
            raise Fault(ErrorKind.NETWORK, Sent.UNKNOWN, f"{answer.host} answered before the file was sent")
        return answer

    def get(self, url: str) -> Generator[bytes, None, HttpAnswer]:
        """Give the bytes behind a signed URL block by block, without the token, and return the answer's head.

        Only a refusal's body is in what is returned.

        Raises:
            Fault: no answer came, or it broke off.
        """
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        request = Request("GET", url, headers=headers, auth=NoAuth())
        return self._exchange.fetch(request, STORAGE_ANSWER, secrets_in(url))

    def close(self) -> None:
        """Give all connections back."""
        self._exchange.close()
