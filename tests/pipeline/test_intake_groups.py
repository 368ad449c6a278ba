"""What intake takes in together: many files in one transaction, and nothing by rules that do not hold."""

import threading
import time
from datetime import UTC, datetime

import pytest

from attachd.core.patterns import compile_pattern
from attachd.core.rules import Rule
from attachd.core.templates import BUILT_INS, parse_filename, parse_template
from attachd.errors import LedgerError
from attachd.folders.local import LocalFiles
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import ErrorInfo, ErrorKind, SettledFile, Signs, State
from attachd.pipeline.intake import Intake
from attachd.pipeline.judging import FolderRules, Rulings
from attachd.service.clock import SystemClock

LIMIT = 30.0
SIGNS = Signs(size=3, mtime_ns=10**18, ctime_ns=10**18, blocks=8)
A_LINK = ErrorInfo(kind=ErrorKind.NOT_REGULAR, message="a link", hint="none")


class WatchedLedger(SqliteLedger):
    """A ledger that can refuse a group, and hold one up before it is written."""

    refusals: list[Exception]
    groups: list[int]
    may_write = threading.Event()

    def record_all(self, new, at):
        self.groups.append(len(new))
        assert self.may_write.wait(LIMIT)
        if self.refusals:
            raise self.refusals.pop()
        return super().record_all(new, at)


def rules(target):
    rule = Rule(
        name="photos",
        patterns=(compile_pattern("*.jpg", types={}, case_sensitive=False),),
        to="ion",
        target={"run_step": parse_template(target, allowed=BUILT_INS)},
        filename=parse_filename("{file}", allowed=BUILT_INS),
    )
    return FolderRules(path="/srv/drop", rules=(rule,))


@pytest.fixture
def ledger(tmp_path):
    opened = WatchedLedger.open(str(tmp_path / "attachd.db"), create=True)
    opened.refusals, opened.groups, opened.may_write = [], [], threading.Event()
    opened.may_write.set()
    yield opened
    opened.close()


@pytest.fixture
def folder(ledger):
    return ledger.open_folder("/srv/drop", "ext4", datetime.now(UTC)).id


@pytest.fixture
def reports(ledger, tmp_path):
    with Reports.open(str(tmp_path / "attachd.db")) as opened:
        yield opened


@pytest.fixture
def intake(ledger, folder):
    made = Intake(
        ledger=ledger,
        files=LocalFiles(),
        folders={folder: rules("1")},
        clock=SystemClock(),
        host="here",
        timezone=UTC,
        wake=lambda _: None,
        look=lambda *_: None,
    )
    yield made
    ledger.may_write.set()
    made.stop()
    made.join(time.monotonic() + LIMIT)
    assert made.failure is None


@pytest.fixture
def until():
    def wait(condition):
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait


def settle(intake, folder, *names):
    for name in names:
        intake.settled(SettledFile(folder_id=folder, path=name, signs=SIGNS, found_by_hint=True))


def states(reports):
    return {entry.path: entry.state for entry in reports.entries()}


def test_what_waits_together_is_written_together(intake, ledger, folder, reports, until):
    """A hundred files, a stray one and a link become what they would alone, in a few transactions."""
    names = [f"{number}.jpg" for number in range(100)]
    settle(intake, folder, *names, "stray.txt")
    intake.unmatched(folder, "link", SIGNS, A_LINK)
    settle(intake, folder + 1, "of no folder that is watched.jpg")
    before = ledger.commits
    intake.start()
    until(lambda: intake.is_idle)
    assert ledger.commits - before <= 4
    assert states(reports) == dict.fromkeys(names, State.READY) | {
        "stray.txt": "unmatched",
        "link": "unmatched",
    }


def test_reports_of_one_path_keep_their_order(intake, folder, reports, until):
    """A file that is gone after it settled vanishes, and one that settles after it was gone does not."""
    settle(intake, folder, "went.jpg")
    intake.gone(folder, "went.jpg")
    intake.gone(folder, "came.jpg")
    settle(intake, folder, "came.jpg", "other.jpg")
    intake.start()
    until(lambda: intake.is_idle)
    assert states(reports) == {
        "went.jpg": State.VANISHED,
        "came.jpg": State.READY,
        "other.jpg": State.READY,
    }


@pytest.mark.parametrize("refusal", [LedgerError("the disk is full"), ValueError("a bug")])
def test_a_group_that_cannot_be_written_is_decided_one_by_one(
    intake, ledger, folder, reports, until, refusal
):
    """Whatever keeps a group from being written, each of its files has its turn alone."""
    ledger.refusals.append(refusal)
    settle(intake, folder, "a.jpg", "b.jpg", "c.txt")
    intake.start()
    until(lambda: intake.is_idle)
    assert states(reports) == {"a.jpg": State.READY, "b.jpg": State.READY, "c.txt": "unmatched"}
    assert intake.bugs == 0


def test_nothing_of_a_group_is_written_by_rules_that_were_replaced(intake, ledger, folder, reports, until):
    """New rules wait for the group under way, and what comes after it is judged by them."""
    ledger.may_write.clear()
    settle(intake, folder, "a.jpg", "b.jpg")
    intake.start()
    until(lambda: ledger.groups == [2])
    replaced = threading.Event()

    def replace():
        intake.rule_by(Rulings(folders={folder: rules("2")}, timezone=UTC, host="here"))
        replaced.set()

    thread = threading.Thread(target=replace)
    thread.start()
    settle(intake, folder, "c.jpg", "d.jpg")
    assert not replaced.wait(0.05)
    assert states(reports) == {}
    ledger.may_write.set()
    assert replaced.wait(LIMIT)
    thread.join(LIMIT)
    written = {entry.path for entry in reports.entries() if entry.target == {"run_step": "1"}}
    assert {"a.jpg", "b.jpg"} <= written
    settle(intake, folder, "e.jpg", "f.jpg")
    until(lambda: intake.is_idle)
    by_new_rules = {entry.path for entry in reports.entries() if entry.target == {"run_step": "2"}}
    assert {"e.jpg", "f.jpg"} <= by_new_rules == set(states(reports)) - written
