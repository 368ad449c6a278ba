import ast
import importlib.util
import re
from pathlib import Path

import pytest

from attachd.core.patterns import LONGEST_FOR_REGEX
from attachd.core.states import TRANSITIONS
from attachd.destinations.registry import KINDS
from attachd.model import State

ROOT = Path(__file__).parents[2]
DELIVERY = (ROOT / "docs" / "delivery.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
PAGES = {"docs/delivery.md": DELIVERY, "SECURITY.md": SECURITY}

_SPEC = importlib.util.spec_from_file_location("draw_states", ROOT / "docs" / "draw_states.py")
draw_states = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(draw_states)


def existing_tests():
    """Give every test as `file::name`."""
    return {
        f"{module.name}::{node.name}"
        for module in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page):
    """No promise rests on a test that was renamed or deleted."""
    named = set(re.findall(r"`(test_\w+\.py::\w+)`", PAGES[page]))
    assert len(named) > 8
    assert sorted(named - existing_tests()) == []


def test_every_promise_names_a_test():
    """Each row of the tables of promises ends with a test."""
    promises = SECURITY.split("\n## What is promised")[1].split("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("|")]
    rows = [row for row in rows if "---" not in row and row != "| promise | test |"]
    assert rows
    assert [row for row in rows if "::test_" not in row.split("|")[-2]] == []


def test_the_diagram_is_the_table():
    """The diagram is the one that docs/draw_states.py draws now; run it to put it right."""
    assert draw_states.renewed(DELIVERY) == DELIVERY
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", DELIVERY, flags=re.MULTILINE))
    assert drawn == {(str(a), str(b)) for a, nexts in TRANSITIONS.items() for b in nexts}
    assert all(f"    {state}: {state} (" in DELIVERY for state in State)


def test_every_kind_of_destination_is_told_of():
    """Each destination has its section with its calls."""
    headings = re.findall(r"^## (\w+): open, put, ", DELIVERY, flags=re.MULTILINE)
    assert {heading.lower() for heading in headings} == set(KINDS)


def test_the_bound_of_a_regex_is_the_one_of_the_code():
    """The page tells how long a path may be for a regex."""
    assert f"{LONGEST_FOR_REGEX:,} characters" in SECURITY
