"""Where a destination's token comes from: given once, read from a file, or exchanged for a client's secret.

Each source keeps the promises of `TokenSource`. What cannot be had is a `Fault` that says how to go on:
`auth` or `config` where a person has to do something, everything else passes. No text here holds a secret.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Protocol
from urllib.parse import quote_plus

import structlog
from requests import Request

from attachd.core.settings import DestinationSettings, OAuthSettings
from attachd.destinations.exchange import USER_AGENT, Exchange, HttpAnswer, NoAuth
from attachd.destinations.faults import Fault, Sent
from attachd.destinations.flights import Flights
from attachd.errors import UserError
from attachd.model import ErrorKind
from attachd.printable import hide

log = structlog.get_logger("attachd")

ANSWER = 256 * 1024
"""Bytes of a token server's answer that are read."""

AGAIN_SECONDS = 10.0
"""How long a renewal that failed is left alone while the old token still serves."""

_CHECK_CLIENT = (
    "check client_id, client_secret and extra under oauth in rules.yaml, and that the client is of this "
    "environment; attachd tries again by itself, and reads a secret from a file anew"
)
_CHECK_URL = "check token_url under oauth in rules.yaml: the whole address, as the token server's page has it"


class TokenSource(Protocol):
    """Gives the token of one destination. Used by many workers at once."""

    def token(self) -> str:
        """Give the token to use now.

        Raises:
            Fault: none can be had; nothing was sent to the API.
        """
        ...

    def renew(self, refused: str) -> bool:
        """Note that the API refused a token; say whether another one may be had by now."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


class Secret(Protocol):
    """A secret that may change while it is used."""

    def current(self) -> str:
        """Give it as it is now."""
        ...

    def reload(self) -> str:
        """Give it as it is now, whatever its signs say."""
        ...


class FixedSecret:
    """A secret from rules.yaml or the environment: the same until the service starts again."""

    def __init__(self, value: str) -> None:
        self._value = value

    def current(self) -> str:
        """Give it."""
        return self._value

    def reload(self) -> str:
        """Give it."""
        return self._value


class FileSecret:
    """A secret in a file, read again when the file's size, mtime or inode has changed.

    While the file cannot be read, or holds no secret, the old one stays in use; that is said once. Used by
    many workers at once.

    Args:
        path: of the file; a link is followed, so that a mounted secret that is swapped is noticed.
        read: reads the secret; raises `UserError` where that fails.

    Raises:
        UserError: it cannot be read the first time.
    """

    def __init__(self, path: Path, read: Callable[[], str]) -> None:
        self._path = path
        self._read = read
        self._lock = Lock()
        self._complained = False
        self._signs = self._look()
        self._value = read()

    def current(self) -> str:
        """Give it, read anew where the file has changed."""
        with self._lock:
            signs = self._look()
            if signs is None or signs != self._signs:
                self._take(signs)
            return self._value

    def reload(self) -> str:
        """Give it, read anew: a file replaced within a tick of its clock has the same signs."""
        with self._lock:
            self._take(self._look())
            return self._value

    def _take(self, signs: tuple[int, ...] | None) -> None:
        try:
            value = self._read()
        except UserError as error:
            if not self._complained:
                log.warning("secret_unreadable", why=error.message, hint="the one read before stays in use")
            self._complained = True
            return
        if value != self._value:
            log.info("secret_changed", file=str(self._path))
        self._value, self._signs, self._complained = value, signs, False

    def _look(self) -> tuple[int, ...] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_size, stat.st_mtime_ns, stat.st_dev, stat.st_ino)


class GivenToken:
    """A token that somebody gave: the secret itself."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def token(self) -> str:
        """Give the token.

        Raises:
            Fault: it cannot be sent.
        """
        return sendable(self._secret.current())

    def renew(self, refused: str) -> bool:
        """Say whether the file holds another token by now."""
        return self._secret.reload() != refused

    def close(self) -> None:
        """Do nothing: there are no connections."""


@dataclass(frozen=True, slots=True)
class _Lent:
    """A token with the monotonic seconds from which it is renewed, and at which it ends."""

    token: str = field(repr=False)
    renew_at: float
    ends_at: float


class ClientCredentials:
    """Tokens for a client's id and secret (OAuth 2.0, RFC 6749, section 4.4), one renewal for all workers.

    The client's secret goes into the form, as Keycloak, Auth0 and others take it. While a token still
    serves, a renewal that fails hurts nobody.

    Args:
        settings: of the destination, for its certificates, proxy and time-outs.
        oauth: where to ask, as whom.
        secret: the client's.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        settings: DestinationSettings,
        oauth: OAuthSettings,
        secret: Secret,
        monotonic: Callable[[], float],
    ) -> None:
        self._name = settings.name
        self._exchange = Exchange(settings, connections=1)
        self._oauth = oauth
        self._secret = secret
        self._monotonic = monotonic
        self._flights: Flights[str] = Flights()
        self._lock = Lock()
        self._lent: _Lent | None = None

    def token(self) -> str:
        """Give a token that still serves, asking for a new one before the old one ends.

        Raises:
            Fault: none can be had.
        """
        lent = self._lent
        if lent is not None and self._monotonic() < lent.renew_at:
            return lent.token
        return self._flights.share("token", self._renewed)

    def renew(self, refused: str) -> bool:
        """Drop a token that the API refused, unless another one took its place already."""
        with self._lock:
            if self._lent is not None and self._lent.token == refused:
                self._lent = None
        return True

    def close(self) -> None:
        """Give connections back."""
        self._exchange.close()

    def _renewed(self) -> str:
        old, now = self._lent, self._monotonic()
        if old is not None and now < old.renew_at:  # somebody was faster
            return old.token
        try:
            lent = self._ask()
        except Fault as fault:
            if old is None or now >= old.ends_at:
                raise
            log.warning("token_not_renewed", destination=self._name, why=fault.message)
            lent = _Lent(old.token, min(now + AGAIN_SECONDS, old.ends_at), old.ends_at)
        with self._lock:
            self._lent = lent
        return lent.token

    def _ask(self) -> _Lent:
        asked_at = self._monotonic()
        secret = self._secret.current()
        fields = {
            **dict(self._oauth.extra),
            "grant_type": "client_credentials",
            "client_id": self._oauth.client_id,
            "client_secret": secret,
        }
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        request = Request("POST", self._oauth.token_url, headers=headers, data=fields, auth=NoAuth())
        try:
            answer = self._exchange.send(request, ANSWER, (secret, quote_plus(secret)))
        except Fault as fault:
            hint = _CHECK_URL if fault.kind is ErrorKind.CONFIG else ""
            raise Fault(fault.kind, Sent.NO, f"no token could be had: {fault.message}", hint) from None
        token, lifetime = _granted(answer)
        log.info("token_renewed", destination=self._name, seconds=lifetime)
        return _Lent(token, asked_at + renew_after(lifetime), asked_at + lifetime)


def source_of(settings: DestinationSettings, secret: Secret, monotonic: Callable[[], float]) -> TokenSource:
    """Make a destination's source of tokens; nothing is sent yet.

    Args:
        settings: as rules.yaml has them.
        secret: the token's, or the client's where there is `oauth`.
        monotonic: seconds of a clock that never jumps.

    Raises:
        UserError: there is no such CA file.
    """
    if settings.oauth is None:
        return GivenToken(secret)
    return ClientCredentials(settings, settings.oauth, secret, monotonic)


def renew_after(lifetime: float) -> float:
    """Give the seconds after which a token is renewed: at 80 % of its life, at least a minute before the end.

    One that lives less than two minutes is renewed half-way, or each call would ask for another.
    """
    return max(min(0.8 * lifetime, lifetime - 60.0), lifetime / 2)


def sendable(token: str) -> str:
    """Give a token as it is.

    Raises:
        Fault: it is empty, or has characters that no header can carry.
    """
    if not token or not token.isascii() or not token.isprintable():
        raise Fault(ErrorKind.AUTH, Sent.NO, "the token is empty or has characters that no token can have")
    return token


def _granted(answer: HttpAnswer) -> tuple[str, float]:
    """Read a token and its seconds to live (RFC 6749, section 5.1); without them it lives until refused."""
    content = _parse(answer.body)
    if answer.status != 200:
        raise _refused(answer, content)
    token = content.get("access_token")
    if not isinstance(token, str):
        raise Fault(ErrorKind.SERVER, Sent.NO, f"the token server {answer.host} answered without a token")
    hide(token)
    return sendable(token), _seconds(content.get("expires_in"))


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        return math.inf
    return seconds if seconds > 0 else math.inf


def _refused(answer: HttpAnswer, content: dict[str, object]) -> Fault:
    said = [content[name] for name in ("error", "error_description") if isinstance(content.get(name), str)]
    reason = answer.quoted(": ".join(map(str, said)))
    text = f"the token server {answer.host} answered {answer.status}{f' ({reason})' if reason else ''}"
    kind, hint = _meaning_of(answer.status, content.get("error"))
    return Fault(kind, Sent.NO, text, hint)


def _meaning_of(status: int, error: object) -> tuple[ErrorKind, str]:
    """Say what a refusal means: the codes of RFC 6749, section 5.2 are the client's fault, 5xx pass."""
    if status == 429:
        return ErrorKind.THROTTLED, ""
    if status >= 500 or status == 408 or error == "temporarily_unavailable":
        return ErrorKind.SERVER, ""
    if status == 407:
        return ErrorKind.CONFIG, "the proxy wants credentials: correct proxy in rules.yaml"
    if error is None and status not in {400, 401, 403}:
        return ErrorKind.CONFIG, _CHECK_URL
    return ErrorKind.AUTH, _CHECK_CLIENT


def _parse(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
