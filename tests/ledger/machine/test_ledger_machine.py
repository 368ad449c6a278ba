"""A walk through everything that can happen to a ledger, with an account of its own of what was sent.

The machine plays the disk, intake, the workers of two destinations, the destinations themselves, the thread
of after-actions, a person and the clock, one small step at a time and in any order; only the ledger, and the
pure decisions of the core, are real. What `World` counts is the truth.
"""

import os
import shutil
import sys
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from tests.ledger.machine.conftest import BYTES, CALLS, PATHS, RULES, Ground, Hand

from attachd.core import outcomes
from attachd.core.afters import AfterState
from attachd.core.protocols import Answer, Place, Reconciled
from attachd.core.retrying import latest_end, longest_pause
from attachd.core.settings import OnDoubt, RetryPolicy
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity, State, Withheld

FAULT = os.environ.get("ATTACHD_FAULT") == "1"
EXAMPLES, STEPS = (800, 60) if FAULT else (120, 40)
PHASES = (Phase.generate,)  # to find the shortest way to a fault takes minutes

POLICY = RetryPolicy(first=2.0, cap=900.0, give_up_after=3600.0)
LOST = Trouble(ErrorKind.TIMEOUT, Severity.UNKNOWN, "no answer in time")
TROUBLES = {
    "passing": Trouble(ErrorKind.SERVER, Severity.PASSING, "answers 503"),
    "lasting": Trouble(ErrorKind.PERMISSION, Severity.LASTING, "no leave to do that"),
    "no target": Trouble(ErrorKind.NO_TARGET_YET, Severity.LASTING, "no such unit yet"),
    "refused": Trouble(ErrorKind.AUTH, Severity.REFUSED, "refuses the token"),
    "restart": Trouble(ErrorKind.INTEGRITY, Severity.LASTING, "has other bytes", restart=True),
}
ANSWERS = ("done", "done", "done", "lost", "lost", "bug", "passing", "lasting", "refused", "restart")
STILL_PUT_OFF = "SELECT id FROM deliveries WHERE state = 'waiting' AND next_attempt_at IS NOT NULL"
NOT_ENDED = """
    SELECT id, state, elder_id, error_kind FROM deliveries
    WHERE state IN ('ready', 'active', 'waiting', 'doubtful', 'held')
"""


class LedgerMachine(Ground):
    """See the module's docstring. `ended` counts the walks that came to an end."""

    ended = 0

    # --- the disk, and what intake makes of it ---

    spots = st.tuples(st.sampled_from((0, 1)), st.sampled_from(PATHS))
    picks = st.integers(0, 5)

    @rule(spot=spots, content=st.sampled_from(BYTES), seen=st.booleans())
    def drop(self, spot, content, seen):
        """Add a file, change it, bring it back, or touch it; intake may not have looked yet."""
        self.write(spot, content)
        if seen:
            self.look(spot)

    @rule(spot=spots, seen=st.booleans())
    def touch(self, spot, seen):
        if spot in self.world.disk:
            self.drop(spot, self.world.disk[spot].content, seen)

    @rule(spot=spots, seen=st.booleans())
    def delete(self, spot, seen):
        if self.world.disk.pop(spot, None) and seen:
            self.look(spot)

    @rule(old=spots, new=spots, seen=st.booleans())
    def rename(self, old, new, seen):
        if old != new and old in self.world.disk:
            file = self.world.disk.pop(old)
            self.write(new, file.content)
            if seen:
                self.look(old)
                self.look(new)

    @rule()
    def scan(self):
        for number in range(len(self.folders)):
            for path in PATHS:
                self.look((number, path))

    @rule(rules=st.sampled_from(sorted(RULES)))
    def reload(self, rules):
        """Judge everything anew by other rules, save what a worker has: that is judged later."""
        self.rules = rules
        self.judge_anew()

    # --- workers, one step at a time ---

    @rule(destination=st.sampled_from(sorted(CALLS)), limit=st.integers(1, 3), out=st.sampled_from((0, 1, 2)))
    def claim(self, destination, limit, out):
        at = self.now()
        latest = latest_end(at, longest_pause(POLICY))
        out = Withheld(folders=frozenset({out} - {0}))
        claimed = self.ledger.claim(destination, self.run, at, limit, withheld=out, latest=latest)
        self.hands += [Hand(each, dict(each.receipts)) for each in claimed]

    @rule(destination=st.sampled_from(sorted(CALLS)))
    def deliver(self, destination):
        """Take what is ready through all of its calls, with nobody in between."""
        self.claim(destination, 2, 0)
        self.finish_all()

    def finish_all(self):
        while self.hands:
            self.identify(0)
            self.send(0, "put")
            self.announce(0)
            self.answer(0, "done", arrived=True)

    def end(self, hand, change):
        """Write how an attempt ended: nobody may have been faster than a worker with its own delivery."""
        self.hands.remove(hand)
        assert self.ledger.change(hand.delivery, change)

    def fail(self, hand, trouble, *, share=0.5):
        change = outcomes.after_trouble(
            hand.delivery,
            trouble,
            POLICY,
            at=self.now(),
            by=self.run,
            share=share,
            probe=share == 0,
            wait=60.0,
        )
        self.end(hand, change)

    def is_unchanged(self, hand):
        """Look at the file as a worker does; False where the attempt ended with that."""
        delivery = hand.delivery
        lies = self.lies(delivery)
        if lies is None:
            self.end(hand, outcomes.vanished(at=self.now(), by=self.run))
        elif lies.signs != delivery.signs and self.ledger.newer_version_exists(delivery):
            self.end(hand, outcomes.superseded(at=self.now(), by=self.run))
        elif lies.signs != delivery.signs:
            self.fail(hand, Trouble(ErrorKind.CHANGED, Severity.PASSING, "the file changed"))
        return lies is not None and lies.signs == delivery.signs

    def hand(self, stage, pick):
        found = [each for each in self.hands if each.stage == stage]
        return found[pick % len(found)] if found else None

    @rule(pick=picks)
    def identify(self, pick):
        hand = self.hand("claimed", pick)
        if hand is None:
            return
        is_sent, content_hash = "put" in hand.receipts, hand.delivery.sha256
        if not (is_sent and content_hash):
            if not self.is_unchanged(hand):
                return
            content_hash = content_hash or self.lies(hand.delivery).sha256
        place = self.ledger.identify(hand.delivery, content_hash, self.now(), self.run)
        hand.stage = "sent" if is_sent else "first"
        if place is not Place.FIRST:
            self.hands.remove(hand)

    @rule(pick=picks, outcome=st.sampled_from(("put", "put", "put", "passing", "lasting", "no target")))
    def send(self, pick, outcome):
        hand = self.hand("first", pick)
        if hand is None:
            return
        if outcome != "put":
            self.fail(hand, TROUBLES[outcome])
        elif self.is_unchanged(hand):
            hand.receipts["put"] = {"hash": self.lies(hand.delivery).sha256}
            self.ledger.begin_call(hand.delivery, "put")
            self.ledger.record_receipt(hand.delivery, "put", hand.receipts["put"])
            hand.stage = "sent"

    @rule(pick=picks)
    def announce(self, pick):
        hand = self.hand("sent", pick)
        if hand is None or (self.lies(hand.delivery) and not self.is_unchanged(hand)):
            return
        assert self.ledger.record_intent(hand.delivery, hand.call)
        hand.stage = "calling"

    @rule(pick=picks, outcome=st.sampled_from(ANSWERS), arrived=st.booleans())
    def answer(self, pick, outcome, arrived):
        hand = self.hand("calling", pick)
        if hand is None:
            return
        delivery, call = hand.delivery, hand.call
        if outcome == "done" or (arrived and outcome in {"lost", "bug"}):
            self.world.take(delivery, call, hand.receipts["put"]["hash"])
        at, by = self.now(), self.run
        if outcome == "lost":
            self.end(hand, outcomes.in_doubt(LOST, call, at=at, by=by))
        elif outcome == "bug":
            self.end(hand, outcomes.failed_by_a_bug(LOST.info, at=at, by=by))
        elif outcome != "done":
            self.fail(hand, TROUBLES[outcome], share=0 if arrived else 0.5)
        elif call == CALLS[delivery.destination][-1]:
            self.end(hand, outcomes.attached(f"r{delivery.id}", at=at, by=by))
        else:
            hand.receipts[call] = {"id": f"f{delivery.id}"}
            self.ledger.record_answer(delivery, call, hand.receipts[call])
            hand.stage = "sent"

    @rule(pick=picks, said=st.sampled_from(("truth", "nothing: hold", "nothing: retry")))
    def reconcile(self, pick, said):
        delivery = self.some([State.DOUBTFUL], pick)
        if delivery is None:
            return
        calls, call = CALLS[delivery.destination], delivery.intent
        took = (delivery.id, call) in self.world.sent
        answer = Answer.TOOK_EFFECT if took else Answer.DID_NOT
        outcome = Reconciled(answer=answer, receipt={"remote_id": f"r{delivery.id}"} if took else {})
        if said != "truth":
            outcome = Reconciled(answer=Answer.CANNOT_TELL, hint="look there")
        elif took and call != calls[-1]:
            self.ledger.record_receipt(delivery, call, outcome.receipt)
        policy = OnDoubt.RETRY if said == "nothing: retry" else OnDoubt.HOLD
        change = outcomes.after_asking(delivery, outcome, policy, calls=calls, at=self.now(), by=self.run)
        if said != "truth" and change.to is State.READY:
            self.world.allow(delivery, call)
        assert self.ledger.change(delivery, change)

    # --- crashes, clocks, after-actions ---

    @rule(arrived=st.booleans())
    def crash(self, arrived):
        """Stop without finishing anything; the announced calls arrived, or did not."""
        for hand in self.hands if arrived else ():
            if hand.stage == "calling":
                self.world.take(hand.delivery, hand.call, hand.receipts["put"]["hash"])
        self.hands.clear()
        self.close()
        self.open()

    @rule(seconds=st.sampled_from((3, 600, 4000)))
    def wait(self, seconds):
        self.time += timedelta(seconds=seconds)

    @rule(days=st.sampled_from((-366, -1, 1, 366)))
    def jump(self, days):
        """Put the wall clock forward or back."""
        self.time += timedelta(days=days)

    @rule(ends=st.sampled_from(("done", "later", "crash")), seen=st.booleans())
    def act(self, ends, seen):
        """Do what is due with an attached file, which must be attached wherever it is wanted."""
        action = self.due()
        if action is None:
            return
        spot = (action.folder_id - 1, action.path)
        lies = self.world.disk.get(spot)
        if action.state is not AfterState.TAKEN and (lies is None or lies.sha256 != action.sha256):
            self.ledger.afters.finish(action, AfterState.SKIPPED, "other bytes, or none", self.now())
            return
        taken = self.ledger.afters.take(action, None, ".attachd-1", self.now())
        if taken is not None and action.state is not AfterState.TAKEN:
            self.check_attached(taken)
        if taken is not None and ends == "later":
            self.ledger.afters.postpone(taken, "busy", self.time + timedelta(seconds=900), self.now())
        elif taken is not None and ends == "done":
            if lies and lies.sha256 == action.sha256:
                self.delete(spot, seen)
            self.ledger.afters.finish(taken, AfterState.DONE, "deleted", self.now())

    def due(self):
        return self.ledger.afters.due([each.id for each in self.folders], self.now())

    # --- a person ---

    @rule(pick=picks, everything=st.booleans())
    def retry(self, pick, everything):
        delivery = self.some([State.HELD, State.WAITING, State.DISMISSED], pick)
        if everything or delivery:
            self.ledger.retry(None if everything else [delivery.id], self.now(), "anna")

    @rule(pick=picks)
    def again(self, pick):
        delivery = self.some([State.DONE], pick)
        if delivery and self.ledger.send_anew([delivery.id], self.word()).done:
            for call in CALLS[delivery.destination]:
                self.world.allow(delivery, call)

    @rule(pick=picks)
    def dismiss(self, pick):
        delivery = self.some([State.HELD, State.WAITING, State.VANISHED], pick)
        if delivery and self.ledger.dismiss([delivery.id], self.word()).done and delivery.intent:
            self.world.allow(delivery, delivery.intent)

    @rule(pick=picks, attached=st.booleans())
    def resolve(self, pick, attached):
        delivery = self.some([State.DOUBTFUL, State.HELD, State.DISMISSED], pick)
        if delivery is None:
            return
        said = self.ledger.resolve(delivery.id, "by hand" if attached else None, self.word())
        if said.done and not attached and delivery.intent:
            self.world.allow(delivery, delivery.intent)

    # --- the end ---

    def teardown(self):
        try:
            if sys.exc_info()[0] is None:
                self.come_to_an_end()
        finally:
            self.close()
            shutil.rmtree(self.directory)

    def come_to_an_end(self):
        """Let everything be well from now on: first without a person, then with one."""
        self.crash(arrived=False)
        self.scan()
        self.judge_anew()
        for helped in (False, True):
            for _ in range(12):
                self.deliver_all(helped=helped)
            assert helped or self.ask(STILL_PUT_OFF) == []
        assert [tuple(row) for row in self.ask(NOT_ENDED)] == []
        LedgerMachine.ended += 1
        self.check_files()
        self.check_deliveries()
        while self.due():
            self.act("done", seen=True)
        self.books_balance()

    def deliver_all(self, *, helped):
        self.time += timedelta(seconds=POLICY.cap + 1)
        if helped:
            self.retry(0, everything=True)
        while self.some([State.DOUBTFUL], 0):
            self.reconcile(0, "truth")
        for destination in CALLS:
            self.claim(destination, 100, 0)
        self.finish_all()
        self.all_is_well()


@pytest.mark.timeout(3600 if FAULT else 120)
def test_nothing_is_lost_or_doubled_whatever_happens():
    """After any steps in any order the books balance, nothing was sent twice, and all comes to an end."""
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=PHASES,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert LedgerMachine.ended >= EXAMPLES / 2
