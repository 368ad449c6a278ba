"""Who may ask: tokens that are accepted, and the token endpoint that lends them out (OAuth 2.0, RFC 6749).

The endpoint takes a client's credentials in a form (sections 4.4 and 2.3.1), refuses as section 5.2 says, and
lends tokens that end after `expires_in` seconds. Vendor pages: a token comes from a Keycloak server, and the
API refuses with 401 before GraphQL runs. Glue's client must also name a workspace as `subject` and a
`redirect_uri` (vendor page on OAuth).
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from attachd.simulator.replies import Reply, json_reply

FORM = "application/x-www-form-urlencoded"
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The one client that is lent tokens.

    Attributes:
        lifetime: seconds for which a token serves; `expires_in` of the answer.
        tells_lifetime: whether the answer says so; section 5.1 only recommends it.
        fields: further form fields that must be there, such as `audience`.
    """

    id: str = "simulator-client"
    secret: str = "simulator-secret"  # noqa: S105 - public on purpose: it opens nothing but a simulator
    lifetime: float = 300
    tells_lifetime: bool = True
    fields: tuple[tuple[str, str], ...] = ()


GLUE_CLIENT = Client(
    id="simulator-glue-client",
    fields=(("subject", "wks_simulator"), ("redirect_uri", "http://127.0.0.1/callback")),
)
"""Glue's client, as long as nobody asks for another one."""


@dataclass(frozen=True, slots=True)
class Organization:
    """Whom a token belongs to."""

    id: int
    domain: str


class Tokens:
    """The tokens of one simulator, safe to use from all its threads.

    Args:
        accepted: tokens that never end, with their organizations.
        lends: the organization of tokens that are lent.
        client: who is lent tokens.
        clock: UNIX time in seconds, by which tokens end.
        prefix: what lent tokens begin with.
    """

    def __init__(
        self,
        accepted: Mapping[str, Organization],
        lends: Organization,
        client: Client,
        clock: Callable[[], float],
        *,
        prefix: str = "lent-token",
    ) -> None:
        self._lock = threading.Lock()
        self._accepted = dict(accepted)
        self._lends = lends
        self._client = client
        self._clock = clock
        self._prefix = prefix
        self._lent: dict[str, float] = {}

    def organization_of(self, token: str) -> Organization | None:
        """Give whom a token belongs to; None where it is not accepted, or not any more."""
        with self._lock:
            if self._lent.get(token, 0) > self._clock():
                return self._lends
            return self._accepted.get(token)

    def was_lent(self, token: str) -> bool:
        """Say whether a token was lent out once."""
        with self._lock:
            return token in self._lent

    def knows(self, body: bytes) -> bool:
        """Say whether a form comes from the client of these tokens."""
        form = Form.of(body)
        return form is not None and form.fields.get("client_id") == self._client.id

    def end_all(self) -> None:
        """End every token that was lent so far."""
        with self._lock:
            self._lent = dict.fromkeys(self._lent, 0.0)

    def lend(self, content_type: str, authorization: str | None, body: bytes) -> Reply:
        """Answer a request for a token."""
        form = Form.of(body) if content_type == FORM else None
        if form is None or authorization is not None:
            return _refused(400, "invalid_request", "credentials must come in the form, and only there")
        if form.repeated:
            return _refused(400, "invalid_request", f"{form.repeated} was given twice")
        given = form.fields
        if given.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", "only client_credentials is supported")
        if (given.get("client_id"), given.get("client_secret")) != (self._client.id, self._client.secret):
            return _refused(401, "invalid_client", "Invalid client or Invalid client credentials")
        if any(given.get(name) != value for name, value in self._client.fields):
            return _refused(400, "invalid_request", "a form field is missing or wrong")
        return self._lent_anew()

    def _lent_anew(self) -> Reply:
        with self._lock:
            token = f"{self._prefix}-{len(self._lent) + 1}"
            self._lent[token] = self._clock() + self._client.lifetime
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self._client.tells_lifetime:
            answer["expires_in"] = self._client.lifetime
        return json_reply(answer, headers=_NOT_KEPT)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and the name of one that came twice, or an empty text."""

    fields: dict[str, str]
    repeated: str

    @classmethod
    def of(cls, body: bytes) -> "Form | None":
        """Read a form; None where it is none."""
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        except ValueError:
            return None
        counts = Counter(name for name, _ in pairs)
        return cls(dict(pairs), next((name for name, count in counts.items() if count > 1), ""))


def _refused(status: int, error: str, description: str) -> Reply:
    return json_reply({"error": error, "error_description": description}, status=status, headers=_NOT_KEPT)
