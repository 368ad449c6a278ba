"""Judging anew beside running workers: a real ledger, real threads, and a pass that is held up on purpose."""

import threading
import time
from datetime import UTC, datetime

import pytest

from attachd.core.patterns import compile_pattern
from attachd.core.protocols import Change, NewVersion
from attachd.core.rules import Rule
from attachd.core.templates import BUILT_INS, parse_filename, parse_template
from attachd.folders.local import LocalFiles
from attachd.ledger.store import SqliteLedger
from attachd.model import ErrorInfo, ErrorKind, Signs, Standing, State
from attachd.pipeline.judging import FolderRules, Rulings
from attachd.pipeline.replanner import Pass, Replanner
from attachd.service.clock import SystemClock

LIMIT = 30.0
TROUBLE = ErrorInfo(kind=ErrorKind.NETWORK, message="no connection", hint="wait")


class HeldUp(SqliteLedger):
    """A ledger whose second folder has a backlog that takes as long as the test wants."""

    may_go_on = threading.Event()
    waits_at = 0

    def undelivered(self, folder_id):
        if folder_id == self.waits_at:
            assert self.may_go_on.wait(LIMIT)
        return super().undelivered(folder_id)


def rulings(*folders, target):
    rule = Rule(
        name="photos",
        patterns=(compile_pattern("{step:int}/*", types={}, case_sensitive=False),),
        to="ion",
        target={"run_step": parse_template(target, allowed=BUILT_INS | {"step"})},
        filename=parse_filename("{file}", allowed=BUILT_INS),
    )
    rules = {folder.id: FolderRules(path=folder.path, rules=(rule,)) for folder in folders}
    return Rulings(folders=rules, timezone=UTC, host="here")


@pytest.fixture
def ledger(tmp_path):
    opened = HeldUp.open(str(tmp_path / "attachd.db"), create=True)
    opened.may_go_on = threading.Event()
    yield opened
    opened.close()


@pytest.fixture
def replanner(ledger):
    made = Replanner(ledger=ledger, files=LocalFiles(), clock=SystemClock(), wake=lambda _: None)
    made.start()
    yield made
    ledger.may_go_on.set()
    made.stop()
    made.join(SystemClock().monotonic() + LIMIT)
    assert made.failure is None


def now():
    return datetime.now(UTC)


def wait_until(true):
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


def drop(ledger, folder, rules):
    signs = Signs(size=7, mtime_ns=10**18, ctime_ns=10**18)
    ruling = rules.judge(folder.id, "5/a.jpg", signs, None, now())
    new = NewVersion(
        folder_id=folder.id,
        path="5/a.jpg",
        signs=signs,
        standing=Standing.MATCHED,
        planned=ruling.planned,
        after=ruling.after,
    )
    (number,) = ledger.record(new, now())
    return number


def test_what_a_worker_had_is_not_claimed_again_before_it_is_judged(ledger, replanner):
    """Its retry is due while the pass is still busy elsewhere: the old rule's entity is not tried again."""
    first, second = (ledger.open_folder(path, "ext4", now()) for path in ("/srv/first", "/srv/second"))
    number = drop(ledger, first, rulings(first, second, target="{step}"))
    (active,) = ledger.claim("ion", "run 1", now(), 9)
    ledger.waits_at = second.id
    after = rulings(first, second, target="6")
    replanner.begin(Pass(rulings=after, destinations=frozenset({"ion"}), by="reload"))
    wait_until(lambda: first.id not in replanner.withheld().folders)
    failed = Change(to=State.WAITING, at=now(), by="run 1", error=TROUBLE, next_attempt_at=now())
    assert ledger.change(active, failed)
    assert ledger.claim("ion", "run 1", now(), 9, withheld=replanner.withheld()) == []
    ledger.may_go_on.set()
    wait_until(lambda: replanner.is_idle)
    (again,) = ledger.claim("ion", "run 1", now(), 9, withheld=replanner.withheld())
    assert (again.id != number, again.target) == (True, {"run_step": "6"})


def test_what_cannot_be_looked_at_is_parked_until_it_can(ledger, replanner):
    """Its folder is out at that moment: a rule takes it now, and nobody knows whether it is whole."""
    folder = ledger.open_folder("/nowhere/at/all", "ext4", now())
    signs = Signs(size=7, mtime_ns=10**18, ctime_ns=10**18)
    reason = ErrorInfo(kind=ErrorKind.NO_RULE, message="no rule takes it", hint="")
    new = NewVersion(
        folder_id=folder.id, path="5/a.jpg", signs=signs, standing=Standing.UNMATCHED, reason=reason
    )
    assert ledger.record(new, now()) == []
    after = rulings(folder, target="{step}")
    replanner.begin(Pass(rulings=after, destinations=frozenset({"ion"}), by="reload"))
    wait_until(lambda: replanner.is_idle)
    found = ledger.latest(folder.id, "5/a.jpg")
    assert found.standing is Standing.PARKED
    assert list(ledger.parked_paths(folder.id)) == ["5/a.jpg"]
    assert ledger.claim("ion", "run 1", now(), 9, withheld=replanner.withheld()) == []


def test_a_second_reload_withholds_what_the_first_one_has_not_judged(ledger, replanner):
    """The pass of the first gives way; what a worker had all along stays withheld until it is judged."""
    first, second = (ledger.open_folder(path, "ext4", now()) for path in ("/srv/first", "/srv/second"))
    number = drop(ledger, first, rulings(first, second, target="{step}"))
    (active,) = ledger.claim("ion", "run 1", now(), 9)
    ledger.waits_at = second.id
    for target in ("6", "7"):
        wanted = rulings(first, second, target=target)
        replanner.begin(Pass(rulings=wanted, destinations=frozenset({"ion"}), by="reload"))
        if target == "6":
            wait_until(lambda: first.id not in replanner.withheld().folders)
        assert {first.id, second.id} & replanner.withheld().folders
    assert number in replanner.withheld().deliveries
    put_back = Change(to=State.READY, at=now(), by="run 1", detail="put back")
    assert ledger.change(active, put_back)
    ledger.may_go_on.set()
    wait_until(lambda: replanner.is_idle)
    (again,) = ledger.claim("ion", "run 1", now(), 9, withheld=replanner.withheld())
    assert again.target == {"run_step": "7"}
