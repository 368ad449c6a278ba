"""`destinations` of the document → destination settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from attachd.config.addresses import Fault, is_host, proxy_fault, url_fault
from attachd.config.context import UNSET_URL, Context
from attachd.config.document import Destination, EnvTable, Limits, OAuth, Retry, Timeouts
from attachd.config.doubting import build_doubt
from attachd.config.secrets import secret_ref
from attachd.config.wording import Location, listed
from attachd.core.settings import DestinationSettings, OAuthSettings, OnDoubt, RetryPolicy, SecretRef

T = TypeVar("T")

_OURS = ("grant_type", "client_id", "client_secret")
# docs.glue.ai, developers/authentication/oauth-2-0-authentication
_WANTED_BY_GLUE = ("subject", "redirect_uri")


def build_destination(name: str, given: Destination, context: Context) -> DestinationSettings:
    """Check one destination and give its settings, which are good only if nothing was reported."""
    at: Location = ("destinations", name)
    timeouts, limits = given.timeouts or Timeouts(), given.limits or Limits()
    default = DestinationSettings(name=name, kind=given.kind or "ion", url=UNSET_URL)
    _check_hosts(given, at, context)
    _check_amounts(given, at, context)
    _check_one_sign_in(given, at, context)
    if given.kind == "glue":
        _check_glue(given, at, context)
    return DestinationSettings(
        name=name,
        kind=default.kind,
        url=_url(given.url, (*at, "url"), context),
        token=None if given.token is None else secret_ref(given.token, (*at, "token"), context),
        oauth=None if given.oauth is None else _oauth(given.oauth, (*at, "oauth"), context),
        auth_scheme=_or(given.auth_scheme, default.auth_scheme),
        workers=_or(given.workers, default.workers),
        ca_file=_ca_file(given.ca_file, (*at, "ca_file"), context),
        proxy=_checked(given.proxy, proxy_fault(given.proxy or "http://h"), (*at, "proxy"), context),
        connect_timeout=_or(timeouts.connect, default.connect_timeout),
        read_timeout=_or(timeouts.read, default.read_timeout),
        max_file_size=_or(limits.max_file_size, default.max_file_size),
        requests_per_second=limits.requests_per_second,
        bandwidth=limits.bandwidth,
        retry=_retry(given.retry or Retry(), (*at, "retry"), context),
        storage_hosts=_hosts(given.storage_hosts),
        on_doubt=OnDoubt(given.on_doubt or "hold"),
        doubt=build_doubt(given.doubt, given.kind, (*at, "doubt"), context),
        validate_upload=_or(given.validate_upload, default.validate_upload),
    )


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _checked(value: str | None, fault: Fault | None, at: Location, context: Context) -> str | None:
    if value is not None and fault:
        context.report.error(at, *fault)
    return value


def _url(given: str | EnvTable | None, at: Location, context: Context) -> str:
    if given is None:
        return UNSET_URL
    url = context.from_environment(given, at, UNSET_URL)
    fault = url_fault(url)
    if fault and isinstance(given, EnvTable) and context.environ.get(given.env or ""):
        context.outside(at, f"the value of ${given.env} {fault[0]}", fault[1])
        return url if context.resolve else UNSET_URL
    _checked(url, fault, at, context)
    return url


def _check_one_sign_in(given: Destination, at: Location, context: Context) -> None:
    token_given = given.token is not None or context.report.has_error_at((*at, "token"))
    oauth_given = given.oauth is not None or context.report.has_error_at((*at, "oauth"))
    if token_given and oauth_given:
        context.report.error(
            (*at, "oauth"), "there is a `token` already", "keep one of `token` and `oauth`", key=True
        )
    if not token_given and not oauth_given:
        context.report.error((*at, "token"), "`token` or `oauth` is missing", "add `token: {env: NAME}`")


def _check_glue(given: Destination, at: Location, context: Context) -> None:
    if given.validate_upload is not None:
        context.report.error((*at, "validate_upload"), "is only for kind ion", "leave it out", key=True)
    missing = [name for name in _WANTED_BY_GLUE if given.oauth and name not in (given.oauth.extra or {})]
    if missing:
        hint = "the workspace's id (wks_…) and the address that the OAuth application has"
        what = f"Glue gives no token without {listed(missing)} in `extra`"
        context.report.warn((*at, "oauth"), what, hint)


def _oauth(given: OAuth, at: Location, context: Context) -> OAuthSettings:
    _checked(given.token_url, url_fault(given.token_url or "https://h"), (*at, "token_url"), context)
    for name in _OURS:
        if name in (given.extra or {}):
            context.report.error((*at, "extra", name), "is sent by attachd itself", "leave it out", key=True)
    secret = SecretRef(source="env", value="")
    if given.client_secret is not None:
        secret = secret_ref(given.client_secret, (*at, "client_secret"), context)
    return OAuthSettings(
        token_url=given.token_url or "",
        client_id=context.from_environment(given.client_id or "", (*at, "client_id"), ""),
        client_secret=secret,
        extra=tuple((given.extra or {}).items()),
    )


def _ca_file(given: str | None, at: Location, context: Context) -> str | None:
    if given is None:
        return None
    path = context.absolute(given)
    if not Path(path).is_file():
        context.outside(at, "there is no such file", "name a file with certificates in PEM form")
    return path


def _retry(given: Retry, at: Location, context: Context) -> RetryPolicy:
    default = RetryPolicy()
    policy = RetryPolicy(
        first=_or(given.first, default.first),
        cap=_or(given.cap, max(default.cap, given.first or 0)),
        give_up_after=_or(given.give_up_after, default.give_up_after),
    )
    if policy.first > policy.cap:
        context.report.error((*at, "first"), "must not be longer than `cap`")
    return policy


def _hosts(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(host.lower() for host in given)


def _check_hosts(given: Destination, at: Location, context: Context) -> None:
    for index, host in enumerate(given.storage_hosts or ()):
        if not is_host(host):
            where = (*at, "storage_hosts", index)
            context.report.error(where, "is no host name", "write the host alone: no https://, no port, no *")
    if given.storage_hosts == []:
        context.report.error((*at, "storage_hosts"), "must not be empty", "leave it out to allow any host")


def _check_amounts(given: Destination, at: Location, context: Context) -> None:
    for where, amount in _amounts(given):
        if amount is not None and amount <= 0:
            context.report.error((*at, *where), "must be more than nothing")


def _amounts(given: Destination) -> Iterator[tuple[tuple[str, str], float | None]]:
    timeouts, limits, retry = given.timeouts or Timeouts(), given.limits or Limits(), given.retry or Retry()
    yield ("timeouts", "connect"), timeouts.connect
    yield ("timeouts", "read"), timeouts.read
    yield ("limits", "max_file_size"), limits.max_file_size
    yield ("limits", "bandwidth"), limits.bandwidth
    yield ("retry", "first"), retry.first
    yield ("retry", "cap"), retry.cap
    yield ("retry", "give_up_after"), retry.give_up_after
