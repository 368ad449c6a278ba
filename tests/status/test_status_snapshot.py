from dataclasses import replace
from datetime import UTC, datetime

import pytest

from attachd.core.settings import (
    DestinationSettings,
    Existing,
    FolderSettings,
    SecretRef,
    ServiceSettings,
    Settings,
)
from attachd.ledger.lock import Holder
from attachd.ledger.reports import Count
from attachd.model import Standing, State
from attachd.status.facts import (
    DestinationFact,
    FolderFact,
    LiveFacts,
    ServiceFact,
    facts_to_json,
    read_facts,
)
from attachd.status.progress import STATES, shown_as, tally
from attachd.status.snapshot import NOT_CONFIGURED, NOT_LOADED, snapshot

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOLDER = Holder(pid=7, host="st-3", started_at=NOW)
SETTINGS = Settings(
    file="/c/rules.yaml",
    ledger="/c/attachd.db",
    service=ServiceSettings(),
    timezone=None,
    destinations={
        "ion": DestinationSettings(
            name="ion", kind="ion", url="https://x", token=SecretRef(source="env", value="T")
        )
    },
    folders=(FolderSettings(path="/c/drop\\", existing=Existing.UPLOAD, rules=()),),
)
LIVE = LiveFacts(
    service=ServiceFact(pid=7, run="run 1", started_at="2026-11-21T09:00:00Z"),
    folders=(FolderFact(path=r"/c/drop\x5c", watch="events", healthy=True),),
    destinations=(DestinationFact(name="ion", kind="ion", healthy=True),),
)
COUNTS = (
    Count(folder="/c/drop\\", destination="ion", state="done", count=3),
    Count(folder="/c/drop\\", destination=None, state="unmatched", count=2),
    Count(folder="/c/old", destination="gone", state="held", count=1),
)


def status_of(*, holder=HOLDER, counts=(), live=LIVE, settings=SETTINGS, oldest=None):
    return snapshot(settings, holder=holder, counts=counts, live=live, oldest=oldest)


def test_facts_survive_the_ledger():
    """What the service writes comes back equal; a key of a newer version is passed over."""
    stored = facts_to_json(LIVE)
    assert read_facts(stored) == LIVE
    stored["folders"][0]["colour"] = "red"
    assert read_facts(stored) == LIVE
    assert read_facts({}) is None


def test_every_state_is_counted_and_shown_under_one_word():
    """All states of deliveries and of files without one are there, each under one of four words."""
    assert set(STATES) == {*State, Standing.UNMATCHED, Standing.PARKED, Standing.EXISTING}
    assert tally(dict.fromkeys(STATES, 1)) == {
        "attached": 2,
        "on its way": 3,
        "needs you": 5,
        "not needed": 3,
    }
    assert shown_as("parked") == "needs you"


def test_it_is_healthy_while_all_parts_are():
    """Running, with facts of this very run, and no part unhealthy."""
    assert status_of().healthy
    ill = replace(LIVE, folders=(replace(LIVE.folders[0], healthy=False, detail="not mounted"),))
    assert not status_of(live=ill).healthy
    closed = replace(LIVE, destinations=(replace(LIVE.destinations[0], healthy=False),))
    assert not status_of(live=closed).healthy


@pytest.mark.parametrize(("holder", "live"), [(None, LIVE), (HOLDER, None), (replace(HOLDER, pid=8), LIVE)])
def test_without_facts_of_this_run_nothing_live_is_known(holder, live):
    """Not running, no facts yet, or those of an earlier run: not healthy, and live values are None."""
    status = status_of(holder=holder, live=live)
    assert not status.healthy
    assert status.running == (holder is not None)
    assert [(folder.path, folder.watch, folder.healthy) for folder in status.folders] == [
        (r"/c/drop\x5c", None, None)
    ]


def test_counts_are_told_per_folder_and_destination():
    """Each folder and destination has its own counts; the whole has all of them."""
    status = status_of(counts=COUNTS)
    assert (status.states["done"], status.states["unmatched"], status.states["held"]) == (3, 2, 1)
    folders = {folder.path: folder.states for folder in status.folders}
    assert (folders[r"/c/drop\x5c"]["done"], folders[r"/c/drop\x5c"]["unmatched"]) == (3, 2)
    destinations = {each.name: each.states for each in status.destinations}
    assert (destinations["ion"]["done"], destinations["ion"]["unmatched"]) == (3, 0)


def test_what_left_rules_yaml_is_remembered_and_harms_nobody():
    """A folder and a destination that only the ledger knows are listed, and health is not theirs."""
    status = status_of(counts=COUNTS)
    old = next(folder for folder in status.folders if folder.path == "/c/old")
    gone = next(each for each in status.destinations if each.name == "gone")
    assert (old.healthy, old.detail) == (None, NOT_CONFIGURED)
    assert (gone.healthy, gone.kind, gone.detail) == (None, None, NOT_CONFIGURED)
    assert status.healthy


def test_what_the_run_does_not_know_yet_is_not_healthy():
    """A folder that was written into rules.yaml after the start is not watched: that is said."""
    new = FolderSettings(path="/c/new", existing=Existing.UPLOAD, rules=())
    status = status_of(settings=replace(SETTINGS, folders=(*SETTINGS.folders, new)))
    found = next(folder for folder in status.folders if folder.path == "/c/new")
    assert (found.healthy, found.detail) == (False, NOT_LOADED)
    assert not status.healthy


def test_json_has_the_fields_of_the_contract():
    """Names and shapes are the contract's."""
    value = status_of(counts=COUNTS, oldest=NOW).to_json()
    assert {"running", "pid", "states", "folders", "destinations", "oldest_undelivered_at"} <= set(value)
    assert {
        "path",
        "watch",
        "healthy",
        "detail",
        "last_scan_at",
        "files_seen",
        "found_by_hint",
        "found_by_scan",
    } <= set(value["folders"][0])
    assert {"name", "kind", "healthy", "detail", "paused_until"} <= set(value["destinations"][0])
    assert value["oldest_undelivered_at"] == "2026-11-21T09:00:00.000Z"
    assert (value["pid"], value["running"]) == (7, True)
