"""How far a run has come: the value that the service hands to whoever shows progress."""

from collections.abc import Mapping
from dataclasses import dataclass

from attachd.core.states import SHOWN_AS
from attachd.model import Standing

ATTACHED = "attached"
ON_ITS_WAY = "on its way"
NEEDS_YOU = "needs you"
NOT_NEEDED = "not needed"

_SHOWN_AS: dict[str, str] = {
    **{state.value: words for state, words in SHOWN_AS.items()},
    Standing.UNMATCHED.value: NEEDS_YOU,
    Standing.PARKED.value: NEEDS_YOU,
    Standing.EXISTING.value: NOT_NEEDED,
}
"""Also for files without a delivery: the first two are listed by `list --problems` (contract, section 4)."""

STATES = tuple(_SHOWN_AS)
"""Every state that can be listed and counted, in the order in which people are shown them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One look at a run under way.

    Attributes:
        states: how many deliveries, and files without one, stand in each state.
        settling: files that were seen and may still be being written.
        scanning: whether a folder is being walked right now.
    """

    states: Mapping[str, int]
    settling: int
    scanning: bool


def shown_as(state: str) -> str:
    """Give the word under which people see a state of a delivery, or of a file without one."""
    return _SHOWN_AS[state]


def tally(states: Mapping[str, int]) -> dict[str, int]:
    """Add states up as people see them: attached, on its way, needs you, not needed."""
    totals = dict.fromkeys((ATTACHED, ON_ITS_WAY, NEEDS_YOU, NOT_NEEDED), 0)
    for state, count in states.items():
        totals[shown_as(state)] += count
    return totals
