from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from attachd.core.measure import UNMEASURED
from attachd.core.protocols import Answer, Change, Reconciled, Ticket
from attachd.errors import StopRequested, Trouble
from attachd.model import ErrorInfo, ErrorKind, Severity, State
from attachd.pipeline.measured import MeasuredDestination, count_attached, count_attempt
from attachd.status.measuring import Measures

AT = datetime(2026, 11, 22, tzinfo=UTC)
UPLOAD = SimpleNamespace(size=10)
DELIVERY = SimpleNamespace(destination="ion", first_seen=AT - timedelta(seconds=5))


class Steps:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self):
        self.at = 0.0

    def monotonic(self):
        self.at += 1.0
        return self.at


class Scripted:
    """A destination that answers as it is told."""

    name = "ion"

    def __init__(self, error=None):
        self.error = error
        self.said = []

    def _say(self, what, answer=None):
        self.said.append(what)
        if self.error:
            raise self.error
        return answer

    def final_calls(self, target):
        return self._say("final_calls", ("register",))

    def admit(self, size):
        return self._say("admit")

    def describe(self, upload, file):
        return self._say("describe", {"a": "b"})

    def open(self, upload):
        return self._say("open", Ticket(url="", content_type=""))

    def put(self, ticket, upload, body):
        return self._say("put", {"s3_key": "k"})

    def complete(self, call, upload, receipts):
        return self._say(call, {"remote_id": "1"})

    def reconcile(self, call, upload, receipts):
        return self._say("reconcile", Reconciled(answer=Answer.DID_NOT))

    def close(self):
        self._say("close")


def calls(destination):
    """Make every call there is."""
    return {
        "open": lambda: destination.open(UPLOAD),
        "put": lambda: destination.put(Ticket(url="", content_type=""), UPLOAD, None),
        "register": lambda: destination.complete("register", UPLOAD, {}),
        "reconcile": lambda: destination.reconcile("register", UPLOAD, {}),
    }


def test_each_call_is_timed_and_answers_as_before():
    """The four kinds of calls count with their time; what asks for nothing does not."""
    measures, scripted = Measures(), Scripted()
    destination = MeasuredDestination(scripted, measures, Steps())
    answers = {name: call() for name, call in calls(destination).items()}
    assert destination.final_calls({}) == ("register",)
    assert destination.describe(UPLOAD, None) == {"a": "b"}
    destination.admit(1)
    destination.close()
    assert answers["register"] == {"remote_id": "1"}
    assert answers["reconcile"].answer is Answer.DID_NOT
    taken = measures.taken()
    assert set(taken.calls) == {("ion", name, "ok") for name in answers}
    assert all(spread.total == 1.0 for spread in taken.calls.values())
    assert taken.sent == {("ion",): 10}
    assert scripted.said == [*answers, "final_calls", "describe", "admit", "close"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Trouble(ErrorKind.TIMEOUT, Severity.PASSING, "too slow"), "timeout"),
        (StopRequested("stop"), "failed"),
        (KeyError("bug"), "failed"),
    ],
)
def test_a_call_that_fails_counts_by_its_kind(error, outcome):
    """The error goes on as it was, and no byte counts as sent."""
    measures = Measures()
    for name, call in calls(MeasuredDestination(Scripted(error), measures, Steps())).items():
        with pytest.raises(type(error)):
            call()
        assert ("ion", name, outcome) in measures.taken().calls
    assert measures.taken().sent == {}


def test_attempts_count_by_what_they_led_to():
    """The state and the error's kind, or that the delivery follows another one."""
    measures = Measures()
    count_attempt(measures, DELIVERY, None)
    count_attempt(measures, DELIVERY, Change(to=State.DONE, at=AT, by="run 1"))
    error = ErrorInfo(kind=ErrorKind.NETWORK, message="down")
    count_attempt(measures, DELIVERY, Change(to=State.WAITING, at=AT, by="run 1", error=error))
    assert measures.taken().attempts == {
        ("ion", "followed", ""): 1,
        ("ion", "done", ""): 1,
        ("ion", "waiting", "network"): 1,
    }


def test_a_delivery_counts_once_it_is_attached():
    """From the file first seen to the change that ends it; other changes end nothing."""
    measures = Measures()
    count_attached(measures, DELIVERY, Change(to=State.HELD, at=AT, by="run 1"))
    assert measures.taken().whole == {}
    count_attached(measures, DELIVERY, Change(to=State.DONE, at=AT, by="run 1"))
    assert measures.taken().whole["ion",].total == 5.0


def test_without_a_page_nothing_is_kept():
    """Everything that can be told is taken, and forgotten."""
    UNMEASURED.settled(1, 1.0, by_hint=True)
    UNMEASURED.hints_dropped(1, 1)
    UNMEASURED.claimed("ion", 1.0)
    UNMEASURED.called("ion", "open", "ok", 1.0)
    UNMEASURED.sent("ion", 1)
    UNMEASURED.attempted("ion", "done", "")
    UNMEASURED.attached("ion", 1.0)
    assert vars(UNMEASURED) == {}
