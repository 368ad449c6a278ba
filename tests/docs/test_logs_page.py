"""docs/logs.md and the table of events against what the code logs."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from attachd.core.afters import AfterState
from attachd.core.states import TRANSITIONS
from attachd.log_events import MEANINGS
from attachd.model import Standing, State

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("draw_logs", ROOT / "docs" / "draw_logs.py")
draw_logs = importlib.util.module_from_spec(_SPEC)
sys.modules["draw_logs"] = draw_logs
_SPEC.loader.exec_module(draw_logs)


def test_the_page_has_the_table_of_now():
    """It is the one that docs/draw_logs.py draws; run it to put it right."""
    page = (ROOT / "docs" / "logs.md").read_text()
    assert draw_logs.renewed(page) == page


def test_every_event_that_is_logged_is_in_the_table_and_no_other():
    """A new event needs a line in `attachd.log_events`, one that is logged no more has none."""
    assert set(draw_logs.events()) == set(MEANINGS)


def test_every_state_that_an_attempt_can_lead_to_has_its_event():
    """Names that are put together from a state are in the table for each state."""
    names = {f"delivery_{state}" for state in TRANSITIONS[State.ACTIVE] - {State.DONE}}
    names |= {f"file_{standing}" for standing in (Standing.UNMATCHED, Standing.PARKED)}
    names |= {f"after_action_{state}" for state in (AfterState.DONE, AfterState.SKIPPED, AfterState.FAILED)}
    assert names <= set(MEANINGS)


def test_the_same_thing_has_the_same_name_everywhere():
    """A reason is `why`, never `reason` or `error`."""
    fields = set().union(*(event.fields for event in draw_logs.events().values()))
    assert fields & {"reason", "error", "file_path", "delivery_id", "folder_id", "dest"} == set()


def test_what_the_code_logs_is_read_from_it():
    """Chosen names and levels, beginnings of names and spread fields are all understood."""
    source = """
def about(path):
    return {"path": path}

def f(self, is_new, state, known):
    fields = {"a": 1, **({"b": 2} if is_new else {})}
    fields |= {"c": 3}
    tell = log.info if is_new else log.warning
    tell("one" if is_new else f"two_{state}", **fields, d=4)
    (log.debug if is_new else log.error)("three", **about("x"), **self._counts)
    event, other = "four", 1
    log.exception(event, exc_info=known)
    print("not logged")
"""
    found = draw_logs.logged(ast.parse(source))
    assert {name: (event.levels, event.fields) for name, event in found.items()} == {
        "one": ({"info", "warning"}, {"a", "b", "c", "d"}),
        "two_*": ({"info", "warning"}, {"a", "b", "c", "d"}),
        "three": ({"debug", "error"}, {"path"}),
        "four": ({"error"}, set()),
    }


def test_a_name_that_cannot_be_read_is_an_error():
    """An event must not slip past the table because its name is put together in another way."""
    with pytest.raises(ValueError, match="cannot tell which event"):
        draw_logs.logged(ast.parse("def f(x):\n    log.info(x.name + '_done')\n"))
