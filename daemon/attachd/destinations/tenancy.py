"""Whose account it is: before anything is sent, a destination's name is held against the tenant it leads to.

A name that is pointed to another host or organization, by a changed address or another token, must not carry
on there with the deliveries of the first: the targets' ids mean other things, or nothing, to another tenant.
"""

from collections.abc import Callable
from threading import Lock
from urllib.parse import urlsplit

import structlog

from attachd.core.protocols import Bind
from attachd.core.settings import DestinationSettings
from attachd.destinations.flights import Flights
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity, Tenant

log = structlog.get_logger("attachd")


class Tenancy:
    """Checks one destination's tenant, once per start and for every new token. Used by many workers at once.

    Args:
        settings: of the destination.
        bind: the ledger's; None where nothing is bound, so nothing is asked.
    """

    def __init__(self, settings: DestinationSettings, bind: Bind | None) -> None:
        self._name = settings.name
        self._host = (urlsplit(settings.url).hostname or "").lower()
        self._bind = bind
        self._lock = Lock()
        self._checked: str | None = None
        self._flights: Flights[None] = Flights()

    def require(self, token: str, ask: Callable[[], str | None]) -> None:
        """Return when what this token opens is the tenant that the name is bound to.

        Args:
            token: the one that the next call will carry.
            ask: gives the organization's id, None where the API does not tell it.

        Raises:
            Trouble: `tenant`, or whatever asking raised.
        """
        if self._bind is not None and not self._is_checked(token):
            self._flights.share(token, lambda: self._check(token, ask))

    def _is_checked(self, token: str) -> bool:
        with self._lock:
            return self._checked == token

    def _check(self, token: str, ask: Callable[[], str | None]) -> None:
        found = Tenant(host=self._host, organization=ask())
        other = self._bind(self._name, found) if self._bind else None
        if other is not None:
            raise self._wrong(found, other)
        with self._lock:
            self._checked = token
        log.info("tenant_checked", destination=self._name, tenant=_shown(found))

    def _wrong(self, found: Tenant, bound: Tenant) -> Trouble:
        return Trouble(
            ErrorKind.TENANT,
            Severity.REFUSED,
            f"destination {self._name} belongs to {_shown(bound)} and leads to {_shown(found)} now: "
            "nothing is sent",
            hint="give the other account a destination name of its own in rules.yaml, or correct url and "
            "token; attachd goes on by itself once they fit",
        )


def _shown(tenant: Tenant) -> str:
    organization = f"organization {tenant.organization} at " if tenant.organization else ""
    return f"{organization}{tenant.host}"
