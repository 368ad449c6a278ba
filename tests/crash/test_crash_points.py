"""kill -9 before and after every durable write, every remote call and every move of an after-action."""

import ast
import json
import os
import re
import signal
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "daemon" / "attachd"
NAMES = [*json.loads((HERE / "points.json").read_text()).values(), "commit"]
CALLS = {"ion {call}": ["ion register"], "glue {call}": ["glue create", "glue message"]}
POINTS = [
    f"{when} {each}" for name in NAMES for each in CALLS.get(name, [name]) for when in ("before", "after")
]
OFTEN = {"commit": (3, 8, 13, 21, 34), "request": (4, 6, 9, 13)}
WHOLE = os.environ.get("ATTACHD_FAULT") == "1"  # `make fault`: more than the first time at each point
ORDERS = [
    (point, count)
    for point in POINTS
    for count in ((1, 2, *OFTEN.get(point.split()[-1], ())) if WHOLE else (1,))
]

BY_A_PERSON = {"retry", "dismiss", "resolve", "send_anew"}  # test_persons_killed.py
OF_SHARES = {"note_filesystem"}  # one row is written, again and again until it says so


def finished(made, **order):
    """Do both spells of work; where the process is killed, go on in a new one. Give how often it was."""
    kills = 0
    for spell in (made.first_spell, made.second_spell):
        spell()
        code = made.run(**({} if kills else order))
        if code == -signal.SIGKILL:
            kills += 1
            code = made.run()
        assert code in {0, 4, 75}, made.log()
    made.finish()
    return kills


@pytest.mark.parametrize(("point", "count"), ORDERS, ids=lambda value: str(value).replace(" ", "-"))
def test_a_kill_loses_and_doubles_nothing(work, tally, point, count):
    """Killed there and started again, attachd keeps its promise; in doubt is only what was announced."""
    made = work()
    kills = finished(made, point=point, count=count)
    assert kills == 1 or count > 1
    made.check_promise(tally)
    made.check_files()


def test_every_point_is_reached(work, tmp_path):
    """Without a kill, the same work comes by every point of the list, and by no other."""
    trace = tmp_path / "trace"
    made = work()
    finished(made, trace=str(trace))
    made.run(trace=str(trace))
    assert set(trace.read_text().splitlines()) == set(POINTS)


def writers_of(module, owner):
    """Give the methods of a class that hand something to the ledger's writer."""
    tree = ast.parse((SOURCE / module).read_text())
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner]
    return {
        each.name
        for each in found.body
        if isinstance(each, ast.FunctionDef)
        and re.search(r"_writer\.(run|post)\(|self\._write\(", ast.unparse(each))
        and not each.name.startswith("_")
    }


def test_every_durable_write_has_its_points():
    """A new method that writes to the ledger is missed here until it has a point."""
    ledger = writers_of("ledger/store.py", "SqliteLedger")
    assert ledger - BY_A_PERSON - OF_SHARES | writers_of("ledger/afters.py", "Afters") <= set(NAMES)
