import json
import signal

import pytest

STEP = 1_000_000

RULES = """
version: 1
lookups:
  step-of-unit:
    - query: |
        query($serial: String!) {
          partInventories(filters: {serialNumber: {eq: $serial}}) { edges { node { id } } }
        }
      variables: {serial: "{serial}"}
      rows: partInventories
      give: {unit: id}
    - query: |
        query($unit: ID!) {
          runs(filters: {partInventoryId: {eq: $unit}}) { edges { node { steps { title entityId } } } }
        }
      variables: {unit: "{unit}"}
      rows: runs.edges[].node.steps[]
      where: {title: "{station}"}
      give: {entity: entityId}
destinations:
  ion:
    kind: ion
    url: URL
    token: TOKEN
    retry: {first: 100ms, cap: 500ms}
    timeouts: {connect: 2s, read: 5s}
folders:
  - path: drop
    existing: upload
    settle: 200ms
    rescan: 1s
    rules:
      - name: plain
        match: "steps/{run_step:int}/*"
        to: ion
        target: {run_step: "{run_step}"}
        wait: PLAIN
      - name: photos
        match: "{station}/{serial}/**/*.jpg"
        to: ion
        target: {lookup: step-of-unit}
        wait: WAIT
"""


@pytest.fixture
def factory(bench):
    """A bench whose rules look up steps, and a unit that ION knows."""

    def write(*, wait="24h", plain="0s"):
        text = RULES.replace("URL", bench.simulator.graphql_url)
        text = text.replace("TOKEN", bench.simulator.token).replace("PLAIN", plain).replace("WAIT", wait)
        bench.rules.write_text(text)

    bench.write = write
    write()
    bench.simulator.learn_unit("AB1234", 5, 77, [(41, "clean"), (42, "torque")])
    return bench


def row_of(bench, path):
    return next(row for row in bench.list() if row["path"] == path)


def kind_of(bench, path):
    errors = {row["path"]: row["error"] for row in bench.list()}
    return (errors.get(path) or {}).get("kind")


def test_two_chained_lookups_lead_from_a_serial_to_the_right_step(factory):
    """Each file is attached to the step of its unit's run that its station names."""
    factory.simulator.learn_unit("AB1235", 5, 78, [(51, "clean"), (52, "torque")])
    factory.put("torque/AB1234/top/a.jpg", b"one")
    factory.put("torque/AB1234/b.jpg", b"two")
    factory.put("clean/AB1235/a.jpg", b"one")
    assert factory.once().returncode == 0
    assert [each[:3] for each in factory.attached()] == [
        ("a.jpg", "runStep", STEP + 42),
        ("a.jpg", "runStep", STEP + 51),
        ("b.jpg", "runStep", STEP + 42),
    ]
    row = row_of(factory, "clean/AB1235/a.jpg")
    assert row["target"] == {"lookup": "step-of-unit", "serial": "AB1235", "station": "clean"}
    shown = factory.call("show", str(row["id"])).stdout
    assert "lookup step-of-unit (serial AB1235, station clean)" in shown


def test_an_unknown_serial_waits_and_goes_by_itself(factory):
    """Files of a unit that ION does not know yet wait, nothing is counted against them, and then they go."""
    for number in range(3):
        factory.put(f"torque/ZZ{number}/a.jpg", str(number).encode())
    factory.put("torque/AB1234/a.jpg", b"known")
    service = factory.start()
    paths = [f"torque/ZZ{number}/a.jpg" for number in range(3)]
    factory.wait_until(lambda: list(factory.states().values()).count("done") == 1, "the known one is done")
    factory.wait_until(lambda: factory.simulator.call_counts["partInventories"] >= 12, "looked for again")
    factory.wait_until(lambda: all(kind_of(factory, path) == "no_target_yet" for path in paths), "waiting")
    assert {row["attempts"] for row in factory.list("--state", "waiting")} <= {0}
    (ion,) = json.loads(factory.call("status", "--json").stdout)["destinations"]
    assert ion["healthy"]
    for number in range(3):
        factory.simulator.learn_unit(f"ZZ{number}", 5, 80 + number, [(90 + number, "torque")])
    factory.wait_until(lambda: set(factory.states().values()) == {"done"}, "all done")
    assert factory.stop(service) == 0
    assert {each[2] for each in factory.attached()} == {STEP + 42, *(STEP + 90 + n for n in range(3))}


def test_a_doubled_serial_is_held_with_both_listed(factory):
    """Two units of one serial number are a question for a person, who sees both."""
    other = factory.simulator.learn_unit("AB1234", 6, 78, [(52, "torque")])
    factory.put("torque/AB1234/a.jpg", b"which")
    assert factory.once().returncode == 4
    error = row_of(factory, "torque/AB1234/a.jpg")["error"]
    assert error["kind"] == "several_targets"
    assert f"unit {other - 1}; unit {other}" in error["message"]
    assert factory.attached() == []


def test_when_the_wait_is_over_the_delivery_is_held(factory):
    """A unit that never comes needs a person, and `retry` looks for it again."""
    factory.write(wait="600ms")
    factory.put("torque/ZZ1/a.jpg", b"late")
    service = factory.start()
    factory.wait_until(lambda: factory.states() == {"torque/ZZ1/a.jpg": "held"}, "held")
    assert kind_of(factory, "torque/ZZ1/a.jpg") == "no_target_yet"
    factory.simulator.learn_unit("ZZ1", 5, 81, [(91, "torque")])
    assert factory.call("retry", "--all").returncode == 0
    factory.wait_until(lambda: factory.states() == {"torque/ZZ1/a.jpg": "done"}, "done")
    assert factory.stop(service) == 0


def test_once_does_not_wait_for_a_target_that_is_not_there(factory):
    """`run --once` looks, leaves the delivery and its follower waiting, and ends with 75, also next time."""
    factory.write(wait="24h")
    text = factory.rules.read_text()
    factory.rules.write_text(text.replace("cap: 500ms", "cap: 1h").replace("first: 100ms", "first: 1h"))
    factory.put("torque/ZZ1/a.jpg", b"late")
    factory.put("torque/ZZ1/b.jpg", b"late")
    factory.put("torque/AB1234/a.jpg", b"known")
    for _ in range(2):
        assert factory.once().returncode == 75
        states = factory.states()
        assert states.pop("torque/AB1234/a.jpg") == "done"
        assert set(states.values()) == {"waiting"}
    assert factory.simulator.call_counts["partInventories"] == 2


@pytest.mark.parametrize(
    ("wait", "state", "kind"), [("1h", "waiting", "no_target_yet"), ("0s", "held", "unknown_target")]
)
def test_wait_holds_for_a_plain_target_too(factory, wait, state, kind):
    """An id that ION does not know is looked for again as long as the rule says, and is held else."""
    factory.write(plain=wait)
    factory.put("steps/900001/a.pdf", b"early")
    assert factory.once().returncode == (75 if state == "waiting" else 4)
    assert factory.states() == {"steps/900001/a.pdf": state}
    assert kind_of(factory, "steps/900001/a.pdf") == kind


def test_explain_tells_what_would_be_asked_and_asks_nothing(factory):
    """The values of each query are shown, those of later ones by name."""
    told = factory.call("explain", "drop/torque/AB9/top/a.jpg").stdout
    assert "send     to ion: lookup step-of-unit (serial AB9, station torque), as a.jpg" in told
    assert "variables: serial = AB9" in told
    assert "variables: unit = <unit>" in told
    assert "where: title = torque" in told
    (explained,) = json.loads(factory.call("explain", "--json", "drop/torque/AB9/top/a.jpg").stdout)
    assert [each["variables"] for each in explained["deliveries"][0]["asked"]] == [
        {"serial": "AB9"},
        {"unit": "<unit>"},
    ]
    assert not factory.simulator.call_counts


def test_a_lookup_mended_by_reload_finds_what_waits(factory):
    """A delivery that waits for a target that a wrong lookup cannot find goes once the lookup is right."""
    text = factory.rules.read_text()
    factory.rules.write_text(text.replace('title: "{station}"', 'title: "{station} station"'))
    factory.put("torque/AB1234/a.jpg", b"known")
    service = factory.start()
    factory.wait_until(lambda: kind_of(factory, "torque/AB1234/a.jpg") == "no_target_yet", "waiting")
    factory.rules.write_text(text)
    service.send_signal(signal.SIGHUP)
    factory.wait_until(lambda: factory.states() == {"torque/AB1234/a.jpg": "done"}, "done")
    assert factory.stop(service) == 0
    assert [each[2] for each in factory.attached()] == [STEP + 42]
