"""What becomes of a file's deliveries under other rules: every case of it, as values."""

from dataclasses import replace

import pytest
from tests.core import deliveries

from attachd.core.replanning import Judgement, replan
from attachd.model import ErrorInfo, ErrorKind, PlannedDelivery, State

NO_RULE = ErrorInfo(kind=ErrorKind.NO_RULE, message="no rule of its folder takes this path")
UNDELIVERED = (State.READY, State.WAITING, State.HELD)
SETTLED = (State.ACTIVE, State.DOUBTFUL, State.DONE, State.DUPLICATE, State.DISMISSED, State.VANISHED)


def delivery(number=1, state=State.READY, *, rule="photos", to="ion", target="42", kind=None, **more):
    error = ErrorInfo(kind=kind, message="something") if kind else None
    place = {"rule": rule, "destination": to, "target": {"run_step": target}}
    return deliveries.delivery(id=number, state=state, error=error, filename="a.jpg", **place, **more)


def plan(rule="photos", *, to="ion", target="42", **more):
    return PlannedDelivery(
        rule=rule, destination=to, target={"run_step": target}, filename=more.pop("filename", "a.jpg"), **more
    )


def judged(*plans, destinations=("ion", "other")):
    return Judgement(planned=plans, reason=None if plans else NO_RULE, destinations=destinations)


@pytest.mark.parametrize("state", UNDELIVERED)
def test_the_same_result_is_left_alone(state):
    """Nothing is written where the rules want what is there."""
    assert replan([delivery(state=state)], judged(plan())).is_nothing


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "pictures"},
        {"to": "other"},
        {"target": "43"},
        {"filename": "b.jpg"},
        {"dedupe": False},
    ],
)
@pytest.mark.parametrize("state", UNDELIVERED)
def test_another_result_supersedes_and_adds(state, other):
    """Each part of the result counts: rule, destination, target, filename, duplicates."""
    change = replan([delivery(state=state)], judged(plan(**other)))
    assert list(change.superseded) == [1]
    assert change.superseded[1].startswith("other rules: ")
    assert change.added == [plan(**other)]
    assert not change.unmatched


@pytest.mark.parametrize("state", UNDELIVERED)
def test_what_is_not_whole_for_another_rule_is_parked(state):
    """Nothing of it is left, not even what had no destination any more: the other rule takes over later."""
    judgement = replace(judged(destinations=("other",)), is_parked=True)
    change = replan([delivery(state=state)], judgement)
    assert change.superseded == {1: "other rules: another one takes the file, once it is whole for that one"}
    assert (change.unmatched, dict(change.held), list(change.added)) == (True, {}, [])


@pytest.mark.parametrize("state", SETTLED)
def test_what_is_settled_is_never_judged(state):
    """Neither superseded nor replaced, whatever the rules say now."""
    assert replan([delivery(state=state)], judged(plan(target="43"))).is_nothing
    assert replan([delivery(state=state)], judged()).is_nothing


@pytest.mark.parametrize("state", [State.HELD, State.WAITING])
def test_an_unanswered_call_keeps_a_delivery_from_judgement(state):
    """Nobody knows whether it took effect: other rules must not send the file again."""
    assert replan([delivery(state=state, intent="register")], judged(plan(target="43"))).is_nothing


def test_a_file_that_no_rule_takes_is_unmatched():
    """Its deliveries are superseded, and the reason is told."""
    change = replan([delivery(state=State.HELD)], judged())
    assert change.superseded == {
        1: "other rules: none takes the file any more (no rule of its folder takes this path)"
    }
    assert change.unmatched


def test_a_file_that_is_partly_attached_does_not_become_unmatched():
    """What is attached stays the file's."""
    change = replan([delivery(1, State.DONE), delivery(2, rule="copies", target="7")], judged())
    assert list(change.superseded) == [2]
    assert not change.unmatched


def test_one_of_two_rules_changes():
    """The other one's delivery is untouched, whether it is done or not."""
    for state in (State.DONE, State.WAITING):
        deliveries = [delivery(1, state), delivery(2, State.HELD, rule="copies", target="7")]
        change = replan(deliveries, judged(plan(), plan("copies", target="8")))
        assert list(change.superseded) == [2]
        assert change.added == [plan("copies", target="8")]


def test_a_done_delivery_stands_for_its_rule_whatever_that_wants_now():
    """A done one is not judged again only because its neighbour is."""
    deliveries = [delivery(1, State.DONE), delivery(2, State.HELD, rule="copies", target="7")]
    change = replan(deliveries, judged(plan(target="999"), plan("copies", target="7")))
    assert change.is_nothing


def test_two_rules_with_the_same_target_stay_two():
    """The delivery that follows is the same as before, although its elder stands for the same target."""
    deliveries = [delivery(1, State.DONE), delivery(2, State.WAITING, rule="copies")]
    assert replan(deliveries, judged(plan(), plan("copies"))).is_nothing


def test_a_new_rule_takes_what_nothing_of_is_attached():
    """A rule that came later is for undelivered files as for new ones."""
    change = replan([delivery(state=State.WAITING)], judged(plan(), plan("copies", target="7")))
    assert change.added == [plan("copies", target="7")]
    assert not change.superseded


def test_what_a_person_had_sent_anew_is_not_judged():
    """`retry --again` is exempt from the same-bytes check: that is no other result."""
    deliveries = [delivery(1, State.DONE), delivery(2, State.READY, dedupe=False)]
    assert replan(deliveries, judged(plan())).is_nothing


def test_a_folder_that_is_gone_holds_what_is_not_delivered():
    """Ready and waiting ones are held with kind config; held ones keep their own reason."""
    deliveries = [
        delivery(1, State.READY),
        delivery(2, State.WAITING, kind=ErrorKind.NETWORK),
        delivery(3, State.HELD, kind=ErrorKind.UNKNOWN_TARGET),
        delivery(4, State.DONE),
    ]
    change = replan(deliveries, Judgement(folder_is_known=False))
    assert sorted(change.held) == [1, 2]
    assert {error.kind for error in change.held.values()} == {ErrorKind.CONFIG}
    assert all(error.hint for error in change.held.values())


def test_a_destination_that_is_gone_holds_what_nobody_else_takes():
    """It is not lost in `superseded`; the file stays matched."""
    change = replan([delivery()], judged(destinations=("other",)))
    assert change.held[1].kind is ErrorKind.CONFIG
    assert "ion" in change.held[1].message
    assert not change.superseded
    assert not change.unmatched


def test_a_rule_that_leads_elsewhere_takes_over_from_a_destination_that_is_gone():
    """The file goes to the new destination instead of being held."""
    change = replan([delivery()], judged(plan(to="other"), destinations=("other",)))
    assert list(change.superseded) == [1]
    assert change.added == [plan(to="other")]


def test_what_was_held_for_rules_yaml_is_released_once_that_is_right():
    """The same result, and no reason any more to hold it."""
    change = replan([delivery(state=State.HELD, kind=ErrorKind.CONFIG)], judged(plan()))
    assert change.released == [1]


def test_a_held_one_of_another_kind_is_untouched():
    """A reload is no retry."""
    held = delivery(state=State.HELD, kind=ErrorKind.UNKNOWN_TARGET)
    assert replan([held], judged(plan())).is_nothing


def test_too_many_versions_are_counted_again():
    """A limit that was raised lets go what it held."""
    held = delivery(state=State.HELD, kind=ErrorKind.KEEPS_CHANGING)
    assert replan([held], judged(plan(max_versions=9))).counted == {1: 9}


def test_superseded_ones_stand_for_nothing():
    """Rules that are taken back want what they wanted before."""
    deliveries = [delivery(1, State.SUPERSEDED), delivery(2, target="43")]
    change = replan(deliveries, judged(plan()))
    assert list(change.superseded) == [2]
    assert change.added == [plan()]
    assert replan([replace(deliveries[1], state=State.SUPERSEDED)], judged(plan())).is_nothing


def test_who_takes_over_is_told():
    """Each rule by its name, or that none does, or that its own rule gave up."""
    change = replan([delivery()], judged(plan("new"), plan("copies", target="7")))
    assert change.superseded == {1: "other rules: by 'new' and 'copies' another delivery takes over"}
    deliveries = [delivery(1, State.DONE, rule="copies", target="7"), delivery(2)]
    change = replan(deliveries, judged(plan("copies", target="7")))
    assert change.superseded == {2: "other rules: its rule does not take the file any more"}
    change = replan([delivery()], Judgement(destinations=("ion",)))
    assert change.superseded == {1: "other rules: none takes the file any more"}


def test_a_destination_that_is_gone_comes_with_a_way_out():
    """Two ways lead on, and a third out."""
    hint = replan([delivery()], judged(destinations=())).held[1].hint
    assert hint == "put it back, or let a rule take the file elsewhere, and reload; or dismiss it"


@pytest.mark.parametrize(("to", "added"), [("ion", False), ("other", True)])
def test_what_is_attached_stands_for_its_target_whatever_the_rule_is_called(to, added):
    """The same target of the same destination is not asked for again; that of another one is."""
    deliveries = [delivery(1, State.DONE), delivery(2, State.HELD, rule="copies", target="7")]
    change = replan(deliveries, judged(plan("renamed", to=to), plan("copies", target="7")))
    assert bool(change.added) is added
