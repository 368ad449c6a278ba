from datetime import timedelta

import pytest
from tests.core.deliveries import NOW, delivery

from attachd.core import outcomes
from attachd.core.retrying import decide_look
from attachd.core.settings import RetryPolicy
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity, State

POLICY = RetryPolicy(first=2, cap=60, give_up_after=100)
DAY = 86400.0


def after(kind, *, wait, of=None, probe=False, **more):
    trouble = Trouble(kind, Severity.LASTING, "not there", hint="is the path right?", **more)
    return outcomes.after_trouble(
        of or delivery(), trouble, POLICY, at=NOW, by="run 1", share=0.5, probe=probe, wait=wait
    )


def test_the_pauses_grow_and_end_with_the_wait():
    """All pauses together are the wait, none is longer than the cap, and the last look is at its end."""
    looked, pauses = 0.0, []
    while (pause := decide_look(POLICY, looked=looked, wait=600, share=0.5)) is not None:
        pauses.append(pause)
        looked += pause
    assert looked == pytest.approx(600)
    assert pauses[0] == pytest.approx(1.5)
    assert max(pauses) <= POLICY.cap
    assert pauses[:-1] == sorted(pauses[:-1])
    assert len(pauses) < 30


@pytest.mark.parametrize("share", [0.0, 0.999])
def test_no_pause_is_shorter_than_half_of_the_first(share):
    """Chance never makes attachd ask at once, unless the wait ends there."""
    pause = decide_look(POLICY, looked=0.0, wait=DAY, share=share)
    assert pause is not None
    assert 1.0 <= pause <= 2.0


@pytest.mark.parametrize("kind", [ErrorKind.NO_TARGET_YET, ErrorKind.UNKNOWN_TARGET])
def test_within_the_wait_it_is_looked_for_again_and_nothing_is_counted(kind):
    """A target that may still come costs no attempt, and no time towards giving up."""
    change = after(kind, wait=DAY)
    assert change.to is State.WAITING
    assert change.error is not None
    assert change.error.kind is ErrorKind.NO_TARGET_YET
    assert "24 h" in change.error.hint
    assert (change.counts, change.waits) == (False, 0.0)
    assert change.looks == pytest.approx(1.5)
    assert change.next_attempt_at == NOW + timedelta(seconds=1.5)


@pytest.mark.parametrize("kind", [ErrorKind.NO_TARGET_YET, ErrorKind.UNKNOWN_TARGET])
@pytest.mark.parametrize(("looked", "wait"), [(0.0, 0.0), (DAY, DAY), (500.0, 60.0)])
def test_when_the_wait_is_over_it_is_held_by_its_own_kind(kind, looked, wait):
    """What is not there by then needs a person; the hint says what to do."""
    change = after(kind, wait=wait, of=delivery(looked=looked))
    assert change.to is State.HELD
    assert change.error is not None
    assert (change.error.kind, change.error.hint) == (kind, "is the path right?")


@pytest.mark.parametrize("kind", [ErrorKind.PERMISSION, ErrorKind.SEVERAL_TARGETS, ErrorKind.CONFIG])
def test_other_lasting_trouble_is_not_waited_for(kind):
    """Only a target that is missing may come by itself."""
    assert after(kind, wait=DAY).to is State.HELD


def test_the_probe_of_a_closed_gate_may_find_no_target():
    """The destination answered, so the delivery waits for its target like any other."""
    assert after(ErrorKind.NO_TARGET_YET, wait=DAY, probe=True).to is State.WAITING


def test_an_entity_that_is_gone_at_registration_is_looked_up_anew():
    """The receipt with the wrong entity id is dropped when the target has to be found again."""
    change = after(ErrorKind.UNKNOWN_TARGET, wait=DAY, restart=True)
    assert change.to is State.WAITING
    assert change.forget_receipts
