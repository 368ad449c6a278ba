import json
import os
import socket
from contextlib import closing
from datetime import UTC, datetime

import pytest

from attachd.ledger.lock import Holder, LedgerLock
from attachd.ledger.store import SqliteLedger
from attachd.model import ErrorKind, Standing
from attachd.status.facts import DestinationFact, FolderFact, LiveFacts, ServiceFact, facts_to_json

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def running(project):
    """Stand in for a running service: hold its lock and write live facts."""
    held = []

    def start(*, healthy: bool = True, pid: int = 0) -> None:
        live = LiveFacts(
            service=ServiceFact(pid=pid or os.getpid(), run="run 1", started_at="2026-11-21T09:00:00Z"),
            folders=(
                FolderFact(
                    path=project.drop,
                    watch="events",
                    healthy=True,
                    last_scan_at="2026-11-21T09:01:00Z",
                    files_seen=3,
                    found_by_hint=2,
                    found_by_scan=1,
                ),
            ),
            destinations=(
                DestinationFact(
                    name="ion",
                    kind="ion",
                    healthy=healthy,
                    detail="" if healthy else "401 Unauthorized",
                ),
            ),
        )
        with closing(SqliteLedger.open(project.ledger, create=True)) as store:
            store.save_facts(facts_to_json(live), NOW)
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), started_at=NOW)
        held.append(LedgerLock.acquire(project.ledger, holder))
        if hasattr(held[-1], "announce"):
            held[-1].announce()

    yield start
    for lock in held:
        lock.release()


def filled(project):
    project.attach("st-3/42/a.jpg")
    project.hold("st-3/42/b.jpg")
    project.add_file("readme.txt", Standing.UNMATCHED, ErrorKind.NO_RULE)


def test_before_the_first_start_everything_is_zero(project, attachd):
    """Without a ledger `status` gives exit code 3, zeros for every state, and no ledger is made."""
    ended = attachd("status", "--json")
    status = json.loads(ended.out)
    assert ended.code == 3
    assert (status["running"], status["pid"], status["oldest_undelivered_at"]) == (False, None, None)
    assert set(status["states"].values()) == {0}
    assert {"done", "unmatched", "parked", "existing"} < set(status["states"])
    assert status["folders"][0]["path"] == project.drop
    assert not (project.directory / "attachd.db").exists()


def test_live_facts_are_null_while_it_does_not_run(project, running, call):
    """Facts that a run left behind are not shown as if they were true: null, and exit code 3."""
    project.build(filled)
    ended = call("status", "--json")
    status = json.loads(ended.out)
    assert ended.code == 3
    folder, destination = status["folders"][0], status["destinations"][0]
    live = ("watch", "healthy", "detail", "last_scan_at", "files_seen", "found_by_hint", "found_by_scan")
    assert [folder[name] for name in live] == [None] * 7
    assert (destination["name"], destination["kind"], destination["healthy"]) == ("ion", "ion", None)
    assert status["states"]["done"] == folder["states"]["done"] == destination["states"]["done"] == 1
    assert folder["states"]["unmatched"] == 1
    assert status["oldest_undelivered_at"].endswith("Z")


def test_a_healthy_service_gives_0(project, running, attachd):
    """While the service runs and all is well, `status` shows its process and its facts."""
    running()
    ended = attachd("status", "--json")
    status = json.loads(ended.out)
    assert ended.code == 0
    assert (status["running"], status["pid"], status["healthy"]) == (True, os.getpid(), True)
    assert status["folders"][0]["watch"] == "events"
    assert status["folders"][0]["files_seen"] == 3


def test_a_closed_gate_gives_3(project, running, call):
    """One unhealthy destination is enough for exit code 3, and its reason is shown."""
    running(healthy=False)
    ended = call("status")
    assert ended.code == 3
    assert "not healthy" in ended.out
    assert "not well: 401 Unauthorized" in ended.out


def test_facts_of_another_process_do_not_count(project, running, call):
    """A run that has not said anything yet is not given the facts of the run before it."""
    running(pid=1)
    ended = call("status", "--json")
    status = json.loads(ended.out)
    assert ended.code == 3
    assert (status["running"], status["folders"][0]["watch"]) == (True, None)


def test_text_points_to_what_needs_you(project, call):
    """The text counts as people do and names the command that lists problems."""
    project.build(filled)
    out = call("status").out
    assert "attachd is not running" in out
    assert "1 attached, 0 on its way, 2 needs you, 0 not needed" in out
    assert "needs you: 1 held, 1 unmatched (attachd list --problems)" in out


def test_a_folder_with_a_hostile_name_is_shown_safely(project, call, hostile):
    """A folder's name cannot control the terminal either."""
    name = hostile[1].replace(".jpg", "")
    project.rules.write_text(project.rules.read_text().replace("path: drop", 'path: "esc\\x1b[31mape"'))
    out = call("status").out
    assert name.replace("\x1b", r"\x1b") in out
    assert "\x1b" not in out


def test_a_broken_rules_yaml_does_not_hide_the_ledger(project, call):
    """What is attached and what needs somebody is shown beside the problems, with their exit code."""
    project.build(filled)
    project.rules.write_text(project.rules.read_text().replace("to: ion", "to: iron", 1))
    ended = call("status")
    assert ended.code == 78
    assert "1 attached, 0 on its way, 2 needs you, 0 not needed" in ended.out
    assert "iron" in ended.err
    ended = call("list", "--json")
    assert (ended.code, len(json.loads(ended.out))) == (78, 3)
    ended = call("show", "1")
    assert ended.code == 78
    assert "st-3/42/a.jpg" in ended.out


def test_a_rules_yaml_whose_ledger_cannot_be_told_is_only_an_error(project, call):
    """A ledger of another place must not be taken for the one that is meant."""
    project.build(filled)
    project.rules.write_text("ledger: [attachd.db]\n" + project.rules.read_text())
    ended = call("status")
    assert (ended.code, ended.out) == (78, "")
    assert "ledger" in ended.err
