"""A long outage, and a file that nothing can deliver: what they cost the others."""

import json
import sqlite3
from contextlib import closing

from attachd.simulator.server import Simulator


def health(bench):
    status = json.loads(bench.call("status", "--json").stdout)
    return {each["name"]: each["healthy"] for each in status["destinations"]}


def attempts(bench):
    """Count how often a worker took a delivery."""
    with closing(sqlite3.connect(bench.directory / "attachd.db")) as ledger:
        return ledger.execute("SELECT count(*) FROM history WHERE to_state = 'active'").fetchone()[0]


def test_a_long_outage_burns_no_attempts(bench, tally):
    """An address that refuses for many probes costs the three strikes that close the gate, however long."""
    url = bench.simulator.graphql_url
    bench.simulator.stop()
    bench.write_rules(url=url)
    for number in range(5):
        bench.put(f"st/{number + 1}/a.png", bytes([number]))
    service = bench.start()
    bench.wait_until(lambda: "gate_closed" in bench.log(), "gate closed")
    before = attempts(bench)
    bench.wait_until(lambda: attempts(bench) >= before + 8, "probed eight times more")
    assert sum(row["attempts"] for row in bench.list()) <= 3 + 5  # those under way when it closed count too
    bench.simulator.start()
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "all attached")
    assert bench.stop(service) == 0
    assert len(bench.simulator.attachments) == 5
    tally(faults=1, files=5)


def test_a_poison_file_does_not_keep_the_gate_shut(bench, tally):
    """Behind a gate that an outage closed, probes take turns: a file that always breaks holds nobody up."""
    bench.write_rules(extra="workers: 3")
    bench.simulator.fault(call="put", do="reset", times=100_000, match={"filename": "st-poison.png"})
    bench.simulator.fault(call="open", do={"status": 503}, times=6)
    bench.put("st/1/poison.png", b"breaks every connection")
    for number in range(4):
        bench.put(f"st/1/{number}.png", bytes([number]))
    service = bench.start()
    bench.wait_until(lambda: "gate_closed" in bench.log(), "gate closed")
    bench.wait_until(lambda: "gate_opened" in bench.log(), "gate opened")
    bench.wait_until(lambda: len(bench.simulator.attachments) == 4, "its neighbours are through")
    bench.wait_until(lambda: health(bench) == {"ion": True}, "status says so")
    bench.stop(service)
    tally(faults=7, files=4)


def test_a_silent_destination_does_not_delay_the_same_files_elsewhere(bench, lead_to_two, tally):
    """Each file goes to two destinations, of which one never answers: the other has them all meanwhile."""
    with Simulator() as other:
        lead_to_two(
            bench.simulator.graphql_url,
            other.graphql_url,
            '{name: one, match: "{run:int}/*", to: first, target: {run: "{run}"}, continue: true}',
            '{name: two, match: "{run:int}/*", to: second, target: {run: "{run}"}}',
            read="1s",
        )
        bench.simulator.fault(do="hang", times=100_000)
        for number in range(10):
            bench.put(f"{number + 1}/a.txt", bytes([number]))
        service = bench.start()
        bench.wait_until(lambda: len(other.attachments) == 10, "the other has all")
        assert bench.simulator.attachments == ()
        bench.simulator.clear_faults()
        bench.wait_until(lambda: len(bench.simulator.attachments) == 10, "and this one, later")
        assert bench.stop(service) == 0
        tally(faults=1, files=20)
