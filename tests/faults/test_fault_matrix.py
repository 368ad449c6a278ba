"""Every cell of tests/faults/matrix.toml, played out: the state it leads to, and what happens afterwards."""

import tomllib
from pathlib import Path

import pytest

from attachd.model import ErrorKind, State

TABLE = tomllib.loads(Path(__file__).with_name("matrix.toml").read_text())
CLASSES = TABLE["class"]
LASTS = 1000
LATER = 7200.0
QUICK = {
    "refused connection",
    "502 after the work was done",
    "429 with Retry-After",
    "null data",
    "expired URL",
}


def cells():
    """Give every cell that can happen: destination, call, fault, its words."""
    return [
        pytest.param(
            kind,
            call,
            fault,
            words,
            id=f"{kind}-{call}-{fault['name'].replace(' ', '-')}",
            marks=() if fault["name"] in QUICK else pytest.mark.slow,
        )
        for fault in TABLE["fault"]
        for kind, calls in TABLE["calls"].items()
        for call, words in zip(calls, (cell.split() for cell in fault[kind]), strict=True)
        if words[0] != "-"
    ]


CELLS = cells()
RENEWED = [cell for cell in CELLS if cell.values[3][0] == "new"]


def meaning(words):
    """Give class and kind of a cell."""
    name, *kind = words[1:] if words[0] == "new" else words
    return name, (kind or [None])[0]


def begun(stage, kind, call, fault):
    """Set the stage for a cell, connections warm, and drop the file."""
    made = stage(kind, fault, "post" if call == "form" else "put")
    if fault.get("strike") == "cut_idle":
        made.put("warm.jpg")
        made.attempt()
    return made, made.put("a.jpg", fault.get("size", 3))


@pytest.mark.parametrize(("kind", "call", "fault", "words"), CELLS)
def test_cell(stage, tally, kind, call, fault, words):
    """The fault leads to its class, nothing is doubled, and what may be repeated arrives once it is over."""
    name, error = meaning(words)
    made, delivery = begun(stage, kind, call, fault)
    made.strike(fault, "put" if call == "form" else call, LASTS)
    assert made.attempt()
    row = made.row(delivery)
    assert (row.state, row.attempts) == (CLASSES[name]["state"], CLASSES[name]["attempts"])
    assert (row.error.kind.value if row.error else None) == error
    if name == "passing" and fault.get("pause"):
        assert (row.next_attempt_at - row.updated_at).total_seconds() >= fault["pause"]
    {
        "unharmed": check_unharmed,
        "passing": check_passing,
        "gate": check_gate,
        "over": check_over,
        "lasting": check_lasting,
        "asked": check_asked,
        "unknown": check_unknown,
    }[name](made, delivery)
    attached = made.attached().count(made.delivered("a.jpg"))
    lost, doubled = attached == 0 and name != "unknown", made.made_twice()
    tally(faults=1, files=1, lost=lost, doubled=doubled, doubtful=name == "unknown")
    assert not lost
    assert not doubled


def check_unharmed(made, delivery):
    assert made.row(delivery).remote_id


def check_passing(made, delivery):
    """A probe that meets it counts nothing; once it is over the file arrives."""
    made.clock.ahead += LATER
    assert made.attempt(probe=True)
    row = made.row(delivery)
    assert (row.state, row.attempts) == (State.READY, 1)
    check_gate(made, delivery)


def check_gate(made, delivery):
    made.heal()
    assert made.attempt()
    assert made.row(delivery).state == State.DONE


def check_over(made, delivery):
    """The second time in a row it is held, until a person says otherwise."""
    made.clock.ahead += LATER
    assert made.attempt()
    row = made.row(delivery)
    assert (row.state, row.attempts) == (State.HELD, 2)
    check_lasting(made, delivery)


def check_lasting(made, delivery):
    """Nothing happens by itself; a person's retry brings it through."""
    assert made.row(delivery).error.hint
    made.heal()
    made.clock.ahead += LATER
    assert not made.attempt()
    made.ledger.retry([delivery], made.clock.now(), "retry (test)")
    assert made.attempt()
    assert made.row(delivery).state == State.DONE


def check_asked(made, delivery):
    """The destination says whether the call took effect, once it cannot be at work on it any more."""
    made.heal()
    for _ in range(2):
        made.settle_doubt()
        made.clock.ahead += LATER
    assert made.row(delivery).state == State.READY
    assert made.attempt()
    assert made.row(delivery).state == State.DONE


def check_unknown(made, delivery):
    """The call is not made again by itself; where the destination cannot tell, a person has to."""
    made.heal()
    made.clock.ahead += LATER
    calls = {call: made.simulator.call_counts[call] for call in ("register", "create", "message")}
    assert not made.attempt()
    made.settle_doubt()
    row = made.row(delivery)
    assert {call: made.simulator.call_counts[call] for call in calls} == calls
    assert (row.state, row.error.kind) == (State.HELD, ErrorKind.UNKNOWN_OUTCOME)
    assert row.error.hint


@pytest.mark.parametrize(("kind", "call", "fault", "words"), RENEWED)
def test_a_new_url_heals_a_single_fault(stage, tally, kind, call, fault, words):
    """Met once, it costs a second upload URL in the same attempt and nothing else."""
    made, delivery = begun(stage, kind, call, fault)
    made.strike(fault, "put" if call == "form" else call, 1)
    assert made.attempt()
    row = made.row(delivery)
    assert (row.state, row.attempts, row.error) == (State.DONE, 1, None)
    assert made.simulator.call_counts["open"] == 2
    assert made.attached() == [made.delivered("a.jpg")]
    tally(faults=1, files=1)


def test_no_cell_is_empty():
    """Every call has a cell for every fault, which is a known class with a kind, or a known reason."""
    kinds = {each.value for each in ErrorKind}
    for fault in TABLE["fault"]:
        for kind, calls in TABLE["calls"].items():
            assert len(fault[kind]) == len(calls), fault["name"]
            for cell in fault[kind]:
                words = cell.split()
                if words[0] == "-":
                    assert words[1] in TABLE["never"], fault["name"]
                    continue
                name, error = meaning(words)
                assert name in CLASSES, fault["name"]
                assert error in kinds or (error is None and name == "unharmed"), fault["name"]
