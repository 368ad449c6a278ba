"""Reload: rules.yaml is read again, and the rooms are changed part by part to what it says.

Theory of operation. The file is read and checked first, with every secret; where anything is wrong, nothing
is changed. Then folders and destinations are compared with those that run. What is the same goes on and loses
nothing: no connection, no event. What is gone or different is retired: it ends by itself, its transfers under
way included, while its successor is at work already. Nothing here waits.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from attachd.config.load import format_problems, load
from attachd.config.own_files import own_files
from attachd.core.settings import DestinationSettings, FolderSettings, Settings
from attachd.destinations.signin import TokenSource
from attachd.errors import ConfigError, Problem, UserError
from attachd.logs import configure
from attachd.model import FolderRecord
from attachd.page.listening import Listen
from attachd.pipeline.replanner import Pass
from attachd.service.build import (
    Rooms,
    account_of,
    open_folders,
    read_tokens,
    rulings_of,
    watch_of,
)
from attachd.service.listen import read_listen

log = structlog.get_logger("attachd")


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesState:
    """Which rules.yaml is in force.

    Attributes:
        settings: what it says.
        loaded_at: when it was read.
        detail: why a later one is not in force, or "".
        listen: where the page is to be, None for nowhere.
    """

    settings: Settings
    loaded_at: datetime
    detail: str = ""
    listen: Listen | None = None


def reload(rooms: Rooms, before: RulesState) -> RulesState:
    """Read rules.yaml again and put it in force; one that does not check out leaves the old one there."""
    now = rooms.wiring.clock.now()
    try:
        settings, warnings = load(Path(before.settings.file), os.environ)
        _refuse_other_ledger(before.settings, settings)
        tokens = read_tokens(settings, os.environ)
        listen = read_listen(settings, os.environ)
        records = open_folders(settings, rooms.wiring)  # the one step that needs the ledger
    except ConfigError as error:
        return replace(before, detail=_refused(before, now, format_problems(error)))
    except UserError as error:
        return replace(before, detail=_refused(before, now, [f"{error.message}; {error.hint}"]))
    for line in format_problems(warnings, settings.file):
        log.warning("rules_warning", problem=line)
    _set_up_log(before.settings, settings)
    _put_in_force(rooms, before.settings, settings, tokens, records)
    return RulesState(settings=settings, loaded_at=now, listen=listen)


def begin_judging(rooms: Rooms, settings: Settings, by: str) -> None:
    """Judge everything that is not delivered by the rules in force; returns at once."""
    destinations = frozenset(settings.destinations)
    rooms.replanner.begin(Pass(rulings=rooms.intake.rulings, destinations=destinations, by=by))


def _refuse_other_ledger(before: Settings, after: Settings) -> None:
    if before.ledger != after.ledger:
        what = f"the ledger in use is {before.ledger}, and a reload cannot move it"
        raise ConfigError(
            after.file, [Problem(0, 0, "ledger", what, "put the old path back, or stop attachd and start it")]
        )


def _refused(before: RulesState, now: datetime, lines: list[str]) -> str:
    since = _to_the_second(before.loaded_at)
    for line in lines:
        log.error("reload_refused", problem=line, in_force_since=since)
    first = next((line for line in lines if ": warning: " not in line), lines[0])
    return (
        f"the rules.yaml of {since} is in force: at {_to_the_second(now)} a reload was refused: {first}; "
        "`attachd check` says everything that is wrong"
    )


def _to_the_second(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _set_up_log(before: Settings, after: Settings) -> None:
    new = (after.service.log_level, after.service.log_format)
    if (before.service.log_level, before.service.log_format) != new:
        configure(*new)


def _put_in_force(
    rooms: Rooms,
    before: Settings,
    after: Settings,
    tokens: Mapping[str, TokenSource],
    records: Sequence[FolderRecord],
) -> None:
    rooms.intake.rule_by(rulings_of(after, records))
    begin_judging(rooms, after, "reload")
    accounts = _change_accounts(rooms, before.destinations, after.destinations, tokens)
    folders = _change_folders(rooms, before, after, records)
    rooms.finisher.wake()
    log.info("reloaded", file=after.file, **accounts, **folders)


def _change_accounts(
    rooms: Rooms,
    before: Mapping[str, DestinationSettings],
    after: Mapping[str, DestinationSettings],
    tokens: Mapping[str, TokenSource],
) -> dict[str, list[str]]:
    new = [name for name, account in after.items() if before.get(name) != account]
    ended = [name for name, account in before.items() if after.get(name) != account]
    dispatchers, destinations = dict(rooms.dispatchers), dict(rooms.destinations)
    retired = [(dispatchers.pop(name), destinations.pop(name)) for name in ended]
    started = []
    for name in new:
        dispatchers[name], destinations[name] = account_of(after[name], tokens[name], rooms)
        started.append(dispatchers[name])
    rooms.dispatchers, rooms.destinations = dispatchers, destinations
    rooms.retired_accounts.extend(retired)
    for dispatcher, _ in retired:
        dispatcher.stop_claiming()
    for dispatcher in started:
        dispatcher.start()
    return {"destinations_started": new, "destinations_ended": ended}


def _change_folders(
    rooms: Rooms, before: Settings, after: Settings, records: Sequence[FolderRecord]
) -> dict[str, list[str]]:
    pairs = list(zip(after.folders, records, strict=True))
    kept = _unchanged(before, after)
    started = {
        record.id: watch_of(folder, record, after, rooms)
        for folder, record in pairs
        if folder.path not in kept or record.id not in rooms.watches
    }
    staying = {record.id for _, record in pairs} - started.keys()
    ended = {number: watch for number, watch in rooms.watches.items() if number not in staying}
    rooms.watches = {number: rooms.watches[number] for number in staying} | started
    rooms.retired_watches.extend(ended.values())
    for folder, record in pairs:
        if record.id in staying:
            rooms.watches[record.id].rule_by(folder.rules)
    for watch in ended.values():
        watch.stop(0.0)
    for watch in started.values():
        watch.start()
    return {
        "folders_started": sorted(watch.health().path for watch in started.values()),
        "folders_ended": sorted(watch.health().path for watch in ended.values()),
    }


def _unchanged(before: Settings, after: Settings) -> set[str]:
    """Give the folders whose watch can go on: they differ in their rules at most."""
    if set(own_files(before)) != set(own_files(after)):
        return set()
    old = {folder.path: folder for folder in before.folders}
    return {each.path for each in after.folders if each.path in old and _is_alike(old[each.path], each)}


def _is_alike(one: FolderSettings, other: FolderSettings) -> bool:
    return replace(one, rules=()) == replace(other, rules=())
