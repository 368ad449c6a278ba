"""What becomes of a file's deliveries when they are judged anew by the rules in force. Pure.

Theory of operation. A delivery that is ready, waiting or held, and has no unanswered call, is up for
judgement; every other one stays what it is, and stands for what its rule wanted of the file, so that nothing
that is attached (or not needed) is asked for again under other rules. What the rules want now is compared
with what is up for judgement: the same is left alone, what is wanted no more is superseded, and what is
wanted and not there yet is new.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from attachd.core.afters import PlannedAfter
from attachd.core.sentences import quoted
from attachd.core.states import REPLACEABLE
from attachd.model import Delivery, ErrorInfo, ErrorKind, PlannedDelivery, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the rules in force say of one file.

    Attributes:
        planned: what they want.
        reason: why none of them takes the file; None where one does.
        after: what becomes of the file once it is attached everywhere.
        destinations: the names of those in rules.yaml.
        folder_is_known: False where the file's folder is not in rules.yaml any more.
        is_parked: a rule takes the file, which is not whole for it: nothing is planned, `reason` says why.
    """

    planned: Sequence[PlannedDelivery] = ()
    reason: ErrorInfo | None = None
    after: PlannedAfter | None = None
    destinations: Collection[str] = ()
    folder_is_known: bool = True
    is_parked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replan:
    """What to write. Deliveries by id; empty where everything stays as it is.

    Attributes:
        superseded: with the detail for their history.
        held: with the error.
        released: held for a reason that rules.yaml has put right.
        counted: held because their path has too many versions, with the limit as it is now.
        added: what is wanted and not there.
        unmatched: no delivery of the file is left: no rule takes it, or it is parked.
    """

    superseded: Mapping[int, str] = field(default_factory=dict)
    held: Mapping[int, ErrorInfo] = field(default_factory=dict)
    released: Sequence[int] = ()
    counted: Mapping[int, int] = field(default_factory=dict)
    added: Sequence[PlannedDelivery] = ()
    unmatched: bool = False

    @property
    def is_nothing(self) -> bool:
        """Say whether everything stays as it is."""
        return not (self.superseded or self.held or self.released or self.counted or self.added)


def replan(deliveries: Sequence[Delivery], judgement: Judgement) -> Replan:
    """Compare all deliveries of one file version with what the rules say of it now."""
    judged = [each for each in deliveries if _is_judged(each, deliveries)]
    if not judgement.folder_is_known:
        return Replan(held={each.id: _FOLDER_GONE for each in judged if each.state is not State.HELD})
    wanted = list(judgement.planned)
    same: list[tuple[Delivery, PlannedDelivery]] = []
    others: list[Delivery] = []
    for each in judged:
        plan = next((plan for plan in wanted if _is_same(each, plan)), None)
        if plan is None:
            others.append(each)
        else:
            same.append((each, plan))
            wanted.remove(plan)
    stays = [each for each in deliveries if each not in judged and each.state is not State.SUPERSEDED]
    added = [plan for plan in wanted if not any(_stands_for(each, plan) for each in stays)] if judged else []
    is_taken_over = bool(added) or judgement.is_parked
    lost = [each for each in others if each.destination not in judgement.destinations and not is_taken_over]
    replaced = [each for each in others if each not in lost]
    return Replan(
        superseded={each.id: _why(judgement, added) for each in replaced},
        held={each.id: _destination_gone(each) for each in lost if each.state is not State.HELD},
        released=[each.id for each, _ in same if _is_held_for(each, ErrorKind.CONFIG)],
        counted={
            each.id: plan.max_versions for each, plan in same if _is_held_for(each, ErrorKind.KEEPS_CHANGING)
        },
        added=added,
        unmatched=not (same or added or stays or lost),
    )


def _is_judged(delivery: Delivery, siblings: Sequence[Delivery]) -> bool:
    return (
        delivery.state in REPLACEABLE
        and delivery.intent is None
        and not any(_was_sent_before(delivery, each) for each in siblings)
    )


def _was_sent_before(delivery: Delivery, earlier: Delivery) -> bool:
    """Say whether a person had the earlier one sent anew: that wish is not the rules' to judge."""
    return (
        earlier.id < delivery.id
        and earlier.state in {State.DONE, State.DISMISSED}
        and (earlier.rule, earlier.destination, earlier.target)
        == (delivery.rule, delivery.destination, delivery.target)
    )


def _is_same(delivery: Delivery, plan: PlannedDelivery) -> bool:
    return (
        delivery.rule == plan.rule
        and delivery.destination == plan.destination
        and delivery.filename == plan.filename
        and delivery.dedupe == plan.dedupe
        and dict(delivery.target) == dict(plan.target)
    )


def _stands_for(delivery: Delivery, plan: PlannedDelivery) -> bool:
    return delivery.rule == plan.rule or (
        delivery.destination == plan.destination and dict(delivery.target) == dict(plan.target)
    )


def _is_held_for(delivery: Delivery, kind: ErrorKind) -> bool:
    return delivery.state is State.HELD and delivery.error is not None and delivery.error.kind is kind


def _why(judgement: Judgement, added: Sequence[PlannedDelivery]) -> str:
    if added:
        names = " and ".join(quoted(plan.rule) for plan in added)
        return f"other rules: by {names} another delivery takes over"
    if judgement.is_parked:
        return "other rules: another one takes the file, once it is whole for that one"
    if judgement.planned:
        return "other rules: its rule does not take the file any more"
    because = f" ({judgement.reason.message})" if judgement.reason else ""
    return f"other rules: none takes the file any more{because}"


_FOLDER_GONE = ErrorInfo(
    kind=ErrorKind.CONFIG,
    message="its folder is not in rules.yaml any more",
    hint="put the folder back, and it goes on by itself after the next reload; or dismiss it",
)


def _destination_gone(delivery: Delivery) -> ErrorInfo:
    return ErrorInfo(
        kind=ErrorKind.CONFIG,
        message=f"its destination {quoted(delivery.destination)} is not in rules.yaml any more",
        hint="put it back, or let a rule take the file elsewhere, and reload; or dismiss it",
    )
