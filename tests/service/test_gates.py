"""What a destination in trouble costs: nothing to its deliveries' attempts, nothing to other destinations."""

import json
from itertools import pairwise

from attachd.simulator.server import Simulator

APART = (
    '{name: one, match: "one/*", to: first, target: {run: "1"}}',
    '{name: two, match: "two/*", to: second, target: {run: "2"}}',
)


def status(bench):
    return json.loads(bench.call("status", "--json").stdout)


def health(bench):
    return {each["name"]: each["healthy"] for each in status(bench)["destinations"]}


def test_three_different_deliveries_close_the_gate_and_an_outage_burns_nothing(bench):
    """Storage that fails for everybody closes the gate; however long, one attempt each is counted."""
    bench.simulator.fault(call="put", do={"status": 503}, times=100_000)
    for number in range(6):
        bench.put(f"st/{number + 1}/a.png", bytes([number]))
    service = bench.start()
    bench.wait_until(lambda: "gate_closed" in bench.log(), "gate closed")
    asked = bench.simulator.call_counts["put"]
    bench.wait_until(lambda: bench.simulator.call_counts["put"] >= asked + 5, "probed five times")
    bench.wait_until(lambda: health(bench) == {"ion": False}, "status says so")
    assert "503" in status(bench)["destinations"][0]["detail"]
    assert [row["attempts"] for row in bench.list() if row["attempts"] > 1] == []
    bench.simulator.clear_faults()
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "all attached")
    assert "gate_opened" in bench.log()
    assert bench.stop(service) == 0


def test_probes_take_turns(bench):
    """The probe is never the same delivery twice running while there is another one."""
    bench.simulator.fault(call="put", do={"status": 503}, times=100_000)
    for number in range(4):
        bench.put(f"st/{number + 1}/{number}.png", bytes([number]))
    service = bench.start()
    bench.wait_until(lambda: "gate_closed" in bench.log(), "gate closed")
    asked = bench.simulator.call_counts["put"]
    bench.wait_until(lambda: bench.simulator.call_counts["put"] >= asked + 9, "probed six times")
    bench.stop(service)  # else the histories that are read last tell of more probes than the first
    moves = [json.loads(bench.call("show", str(row["id"]), "--json").stdout) for row in bench.list()]
    probes = sorted(
        (step["at"], row["id"]) for row in moves for step in row["history"] if step["to"] == "active"
    )[-6:]
    assert all(one[1] != next_[1] for one, next_ in pairwise(probes))


def test_a_poison_file_never_closes_the_gate(bench):
    """One file whose transfer always breaks is retried by itself; every other file goes through."""
    bench.simulator.fault(call="put", do="reset", times=100_000, match={"filename": "st-poison.png"})
    bench.put("st/1/poison.png", b"breaks every connection")
    service = bench.start()
    for number in range(5):
        bench.put(f"st/1/{number}.png", bytes([number]))
        bench.wait_until(lambda n=number: len(bench.simulator.attachments) == n + 1, "attached")
    asked = bench.simulator.call_counts["put"]
    bench.wait_until(lambda: bench.simulator.call_counts["put"] >= asked + 10, "five more attempts")
    (poison,) = [row for row in bench.list() if row["path"] == "st/1/poison.png"]
    assert poison["state"] in {"waiting", "ready", "active"}
    assert poison["attempts"] >= 5
    assert "gate_closed" not in bench.log()
    assert health(bench) == {"ion": True}
    bench.stop(service)


def test_a_silent_destination_does_not_delay_another(bench, lead_to_two):
    """All workers of one destination hang; the other attaches its files as if nothing was."""
    with Simulator() as other:
        lead_to_two(bench.simulator.graphql_url, other.graphql_url, *APART, read="60s")
        bench.simulator.fault(do="hang", times=100_000)
        for number in range(4):
            bench.put(f"one/{number}.txt", b"stuck %d" % number)
        service = bench.start()
        bench.wait_until(lambda: bench.simulator.call_counts.total() > 0, "its workers hang")
        for number in range(10):
            bench.put(f"two/{number}.txt", b"free %d" % number)
        bench.wait_until(lambda: len(other.attachments) == 10, "the other is through", limit=10)
        assert bench.simulator.attachments == ()
        bench.simulator.clear_faults()
        bench.wait_until(lambda: len(bench.simulator.attachments) == 4, "and this one, later")
        assert bench.stop(service) == 0


def test_a_dead_destination_does_not_delay_another(bench, lead_to_two):
    """Nobody listens at one address: its gate closes, the other goes on."""
    with Simulator() as other:
        dead = bench.simulator.graphql_url
        bench.simulator.stop()
        lead_to_two(dead, other.graphql_url, *APART, read="60s")
        bench.put("one/a.txt", b"stuck")
        service = bench.start()
        bench.wait_until(lambda: "gate_closed" in bench.log(), "gate closed")
        bench.put("two/a.txt", b"free")
        bench.wait_until(lambda: len(other.attachments) == 1, "the other is through", limit=10)
        bench.wait_until(lambda: health(bench) == {"first": False, "second": True}, "status says so")
        bench.simulator.start()
        bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "and this one, later")
        assert bench.stop(service) == 0


def test_a_file_that_is_too_large_opens_no_gate(bench):
    """What is refused here, without asking the destination, is no sign that it works again."""
    bench.write_rules(extra="limits: {max_file_size: 1 kB}")
    bench.simulator.fault(call="open", do={"status": 401}, times=100_000)
    bench.put("st/1/a.png", b"small")
    bench.start()
    bench.wait_until(lambda: "gate_closed" in bench.log(), "gate closed")
    bench.put("st/1/large.png", bytes(2000))
    bench.wait_until(lambda: bench.states().get("st/1/large.png") == "held", "held")
    asked = bench.simulator.call_counts["open"]
    bench.wait_until(lambda: bench.simulator.call_counts["open"] >= asked + 2, "probed again")
    assert "gate_opened" not in bench.log()
    bench.simulator.clear_faults()
    bench.wait_until(lambda: bench.states()["st/1/a.png"] == "done", "attached")
