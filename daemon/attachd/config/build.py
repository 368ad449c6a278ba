"""The document → `Settings`. Every part is checked whatever became of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from attachd.config.accounts import build_destination
from attachd.config.addresses import is_loopback, listen_fault, split_listen
from attachd.config.context import Context
from attachd.config.document import Document, Log, Service
from attachd.config.places import build_folders
from attachd.config.queries import build_lookup
from attachd.config.rulebook import Surroundings, captures_of
from attachd.config.search import default_ledger
from attachd.config.secrets import secret_ref
from attachd.config.wording import Location, quoted
from attachd.core.lookups import Lookup
from attachd.core.patterns import PatternError, check_type
from attachd.core.rules import Rule
from attachd.core.settings import (
    DestinationSettings,
    LogFormat,
    ServiceSettings,
    Settings,
    StatusSettings,
)

_ANY_TYPE = "[^/]+"
SHORTEST_KEPT = 24 * 3600.0
"""Seconds that `keep` has to be at least: who looks into something on the next day finds all of it."""

_PAGE = ("starlette", "uvicorn", "jinja2", "prometheus_client")
"""The packages of the extra `page`."""


def build(document: Document, file: Path, context: Context) -> Settings:
    """Check what the keys mean for each other and give the settings, good only if nothing was reported."""
    destinations = {
        name: build_destination(name, given, context) for name, given in (document.destinations or {}).items()
    }
    around = Surroundings(
        types=_types(document, context),
        kinds=_kinds(document, context),
        lookups=_lookups(document, context),
        case_sensitive=False,
    )
    folders = build_folders(document.folders or (), around, context)
    rules = [rule for folder in folders for rule in folder.rules]
    return Settings(
        file=str(file),
        ledger=_ledger(document.ledger, file, context),
        keep=_keep(document.keep, context),
        service=_service(document.service or Service(), context),
        timezone=_timezone(document.timezone, context),
        destinations={name: _for_rules(each, rules, around.lookups) for name, each in destinations.items()},
        folders=folders,
    )


def _ledger(given: str | None, file: Path, context: Context) -> str:
    return str(default_ledger(file)) if given is None else context.absolute(given)


def _keep(given: float | None, context: Context) -> float | None:
    if given is not None and given < SHORTEST_KEPT:
        context.report.error(
            ("keep",), "is shorter than a day", "write 90d, or leave it out to keep everything"
        )
    return given


def _named(at: tuple[str, ...], context: Context) -> frozenset[str]:
    """Give the names under a key as the file has them, also those whose value is wrong."""
    return frozenset(str(each[-1]) for each in context.report.places if each[:-1] == at and each)


def _kinds(document: Document, context: Context) -> Mapping[str, str | None]:
    sound = document.destinations or {}
    names = _named(("destinations",), context)
    return {name: sound[name].kind if name in sound else None for name in sorted(names)}


def _types(document: Document, context: Context) -> Mapping[str, str]:
    types = dict.fromkeys(_named(("types",), context), _ANY_TYPE)
    for name, regex in (document.types or {}).items():
        try:
            check_type(name, regex)
        except PatternError as error:
            context.report.error(("types", name), error.message, error.hint, offset=error.offset)
        else:
            types[name] = regex
    return types


def _lookups(document: Document, context: Context) -> Mapping[str, Lookup | None]:
    rules = [rule for folder in document.folders or () for rule in folder.rules or ()]
    lookups: dict[str, Lookup | None] = dict.fromkeys(_named(("lookups",), context))
    for name, queries in (document.lookups or {}).items():
        users = [rule for rule in rules if rule.target is not None and rule.target.lookup == name]
        captures = frozenset[str]().union(*(captures_of(rule) for rule in users or rules))
        lookups[name] = build_lookup(name, queries, captures, context.report)
    return lookups


def _for_rules(
    destination: DestinationSettings, rules: Sequence[Rule], lookups: Mapping[str, Lookup | None]
) -> DestinationSettings:
    """Tell a destination what the rules that lead to it ask of it."""
    ours = [rule for rule in rules if rule.to == destination.name]
    used = {rule.target["lookup"].text for rule in ours if "lookup" in rule.target}
    found = {name: lookup for name, lookup in lookups.items() if lookup is not None and name in used}
    return replace(destination, lookups=found, waits={rule.name: rule.wait for rule in ours if rule.wait})


def _timezone(name: str | None, context: Context) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a directory such as `Europe`, or a name too long
        context.report.error(
            ("timezone",), f"{quoted(name)} is no time zone", "write for example Europe/Berlin"
        )
        return None


def _service(given: Service, context: Context) -> ServiceSettings:
    default, log = ServiceSettings(), given.log or Log()
    return ServiceSettings(
        drain=default.drain if given.drain is None else given.drain,
        log_level=log.level or default.log_level,
        log_format=LogFormat(log.format or default.log_format),
        status=_status(given, context),
    )


def _status(given: Service, context: Context) -> StatusSettings | None:
    at, token_at = ("service", "status"), ("service", "status_token")
    token = None if given.status_token is None else secret_ref(given.status_token, token_at, context)
    if given.status is None:
        return None
    fault = listen_fault(given.status)
    if fault:
        context.report.error(at, *fault)
        return None
    host, port = split_listen(given.status)
    if token is None and not is_loopback(host):
        _say_token_missing(token_at, context)
    _say_extra_missing(at, context)
    return StatusSettings(host=host, port=port, token=token)


def _say_token_missing(at: Location, context: Context) -> None:
    if not context.report.has_error_at(at):
        context.report.error(
            at, "`status_token` is missing", "it is required where the page leaves this machine"
        )


def _say_extra_missing(at: Location, context: Context) -> None:
    missing = [name for name in _PAGE if find_spec(name) is None]
    if missing:
        what = f"needs the extra `page`: {', '.join(missing)} not installed"
        context.outside(at, what, "install it with: pip install 'attachd[page]'")
