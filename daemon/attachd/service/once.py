"""When `run --once` is over, and with which exit code. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from attachd.core.states import PROBLEMS, UNDER_WAY
from attachd.model import Standing, State

EXIT_WELL = 0
EXIT_PROBLEMS = 4
EXIT_LEFT = 75

_UNDER_WAY = frozenset(state.value for state in UNDER_WAY)
_PROBLEMS = frozenset(state.value for state in PROBLEMS) | {Standing.UNMATCHED.value, Standing.PARKED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many deliveries (or files without one: `destination` None) of a folder stand in a state."""

    folder: str
    destination: str | None
    state: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The facts by which `run --once` decides.

    Attributes:
        settled: every folder that is not out was scanned and has nothing settling, intake is through.
        tallies: what the ledger holds.
        followers: of the tallies, those that wait for an elder: they move only when another one does.
        folders_out: folders that are not there now.
        folders_unwell: those, and folders of which a part cannot be read.
        folders: every folder of rules.yaml.
        blocked: destinations whose gate is closed with nothing to speak for its opening.
        destinations: every destination of rules.yaml.
        attempting: whether a worker has something at this moment.
        finishing: whether an after-action is under way, or could be done now.
        unfinished: whether one could not be done when it was tried.
        looked_for: of `tallies`, the waiting ones whose target is not there yet: it may take days.
    """

    settled: bool
    tallies: Collection[Tally]
    followers: Collection[Tally]
    folders_out: Collection[str]
    folders_unwell: Collection[str]
    folders: Collection[str]
    blocked: Collection[str]
    destinations: Collection[str]
    attempting: bool
    finishing: bool = False
    unfinished: bool = False
    looked_for: Collection[Tally] = ()


def is_over(situation: Situation) -> bool:
    """Say whether nothing is left that this run could still bring further."""
    if not situation.settled or situation.attempting or situation.finishing:
        return False
    counts = Counter({_key(tally): tally.count for tally in situation.tallies})
    counts.subtract({_key(tally): tally.count for tally in situation.looked_for})
    left = (replace(tally, count=counts[_key(tally)]) for tally in situation.tallies)
    movable = sum(tally.count for tally in left if _can_move(situation, tally))
    following = sum(tally.count for tally in situation.followers if _can_move(situation, tally))
    return movable <= following


def exit_code(situation: Situation) -> int:
    """Give the contract's exit code: 75 before 4 before 0."""
    left = any(tally.state in _UNDER_WAY and tally.count for tally in situation.tallies)
    if left or situation.folders_unwell or situation.blocked or not situation.settled:
        return EXIT_LEFT
    if situation.finishing or situation.unfinished:
        return EXIT_LEFT
    if any(tally.state in _PROBLEMS and tally.count for tally in situation.tallies):
        return EXIT_PROBLEMS
    return EXIT_WELL


def states_of(tallies: Collection[Tally]) -> Mapping[str, int]:
    """Add the tallies up by state."""
    states: dict[str, int] = {}
    for tally in tallies:
        states[tally.state] = states.get(tally.state, 0) + tally.count
    return states


def _key(tally: Tally) -> tuple[str, str | None, str]:
    return tally.folder, tally.destination, tally.state


def _can_move(situation: Situation, tally: Tally) -> bool:
    return (
        tally.count > 0
        and tally.state in _UNDER_WAY
        and tally.folder in situation.folders
        and tally.folder not in situation.folders_out
        and tally.destination in situation.destinations
        and (tally.destination not in situation.blocked or tally.state == State.ACTIVE)
    )
