"""The states of a delivery and every move between them. Nothing else in attachd decides what is legal.

Theory of operation. A delivery is born `ready`. A worker takes it (`active`) and either gets it through
(`done`), finds that its elder did (`duplicate`), meets trouble that passes (`waiting`), trouble that needs
a person (`held`), or loses the answer to a call that must not be repeated blindly (`doubtful`). Newer bytes
or other rules replace what is not delivered yet (`superseded`); a file that is gone before it was delivered
is `vanished`, which stays visible until a person dismisses it. `done`, `duplicate` and `superseded` are ends.

The ledger's trigger is generated from `TRANSITIONS`, so that the database refuses what this table refuses.
"""

from attachd.errors import InvariantBroken
from attachd.model import State

UNKNOWN_CALL = "unknown"
"""Stands as intent where nobody knows which calls were made: the ledger was put back from a copy."""

TRANSITIONS: dict[State, frozenset[State]] = {
    State.READY: frozenset({State.ACTIVE, State.SUPERSEDED, State.VANISHED, State.HELD}),
    State.ACTIVE: frozenset(
        {
            State.READY,
            State.WAITING,
            State.DOUBTFUL,
            State.HELD,
            State.DONE,
            State.DUPLICATE,
            State.SUPERSEDED,
            State.VANISHED,
        }
    ),
    State.WAITING: frozenset(
        {State.READY, State.HELD, State.DUPLICATE, State.DISMISSED, State.SUPERSEDED, State.VANISHED}
    ),
    State.DOUBTFUL: frozenset({State.DONE, State.READY, State.HELD}),
    State.HELD: frozenset({State.READY, State.DOUBTFUL, State.DONE, State.DISMISSED, State.SUPERSEDED}),
    State.DONE: frozenset(),
    State.DUPLICATE: frozenset(),
    State.DISMISSED: frozenset({State.READY}),
    State.SUPERSEDED: frozenset(),
    State.VANISHED: frozenset({State.DISMISSED}),
}

UNDER_WAY = frozenset({State.READY, State.ACTIVE, State.WAITING, State.DOUBTFUL})
"""States that `run --once` waits for."""

ATTACHED = frozenset({State.DONE, State.DUPLICATE})
"""States in which the bytes are at the target."""

REPLACEABLE = frozenset({State.READY, State.WAITING, State.HELD})
"""States in which newer bytes or other rules may take over, unless an intent is open."""

PROBLEMS = frozenset({State.DOUBTFUL, State.HELD, State.VANISHED})
"""States that need a person's eye."""

SHOWN_AS: dict[State, str] = {
    State.READY: "on its way",
    State.ACTIVE: "on its way",
    State.WAITING: "on its way",
    State.DOUBTFUL: "needs you",
    State.HELD: "needs you",
    State.DONE: "attached",
    State.DUPLICATE: "attached",
    State.DISMISSED: "not needed",
    State.SUPERSEDED: "not needed",
    State.VANISHED: "needs you",
}
"""How people see each state, on the page, in tables and in `status`."""


def is_legal(before: State, after: State) -> bool:
    """Say whether a delivery may move from one state to the other."""
    return after in TRANSITIONS[before]


def require_legal(before: State, after: State) -> None:
    """Refuse an illegal move.

    Raises:
        InvariantBroken: the table does not have this move.
    """
    if not is_legal(before, after):
        raise InvariantBroken(f"a delivery cannot go from {before} to {after}")
