import itertools

import pytest

from attachd.core.states import (
    ATTACHED,
    PROBLEMS,
    REPLACEABLE,
    SHOWN_AS,
    TRANSITIONS,
    UNDER_WAY,
    is_legal,
    require_legal,
)
from attachd.errors import InvariantBroken
from attachd.model import State

CONTRACT = """
| `ready` | active, superseded, vanished, held | on its way |
| `active` | ready, waiting, doubtful, held, done, duplicate, superseded, vanished | on its way |
| `waiting` | ready, held, duplicate, dismissed, superseded, vanished | on its way |
| `doubtful` | done, ready, held | needs you |
| `held` | ready, doubtful, done, dismissed, superseded | needs you |
| `done` | | attached |
| `duplicate` | | attached |
| `dismissed` | ready | not needed |
| `superseded` | | not needed |
| `vanished` | dismissed | needs you |
"""
ROWS = [[cell.strip(" `") for cell in line.split("|")[1:4]] for line in CONTRACT.strip().splitlines()]
LEGAL = {(before, after) for before, leads_to, _ in ROWS for after in leads_to.split(", ") if after}


def test_the_table_has_every_state_once():
    """Each state of the contract has a row, and there is no other."""
    assert [row[0] for row in ROWS] == [str(state) for state in State]
    assert set(TRANSITIONS) == set(SHOWN_AS) == set(State)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_a_move_is_legal_exactly_where_the_contract_has_it(before, after):
    """All hundred pairs of states are as the contract says; an illegal one raises."""
    expected = (str(before), str(after)) in LEGAL
    assert is_legal(before, after) is expected
    if expected:
        require_legal(before, after)
    else:
        with pytest.raises(InvariantBroken, match=f"from {before} to {after}"):
            require_legal(before, after)


@pytest.mark.parametrize(("state", "leads_to", "shown"), ROWS)
def test_people_see_each_state_as_the_contract_says(state, leads_to, shown):
    """The words on the page and in tables are the contract's."""
    assert SHOWN_AS[State(state)] == shown


def test_the_groups_of_states_agree_with_what_people_see():
    """What is owed, under way, attached or a problem follows from how it is shown."""
    by_words = {words: {s for s in State if SHOWN_AS[s] == words} for words in SHOWN_AS.values()}
    assert by_words["attached"] == ATTACHED
    assert by_words["needs you"] == PROBLEMS
    assert by_words["on its way"] | {State.DOUBTFUL} == UNDER_WAY
    undelivered = UNDER_WAY | {State.HELD}
    assert {s for s in undelivered if is_legal(s, State.SUPERSEDED)} - {State.ACTIVE} == REPLACEABLE
