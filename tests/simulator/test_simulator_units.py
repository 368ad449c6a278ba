import json
import urllib.error
import urllib.request

import pytest

from attachd.simulator import Simulator

UNITS = (
    "query($s: String!) { partInventories(filters: {serialNumber: {eq: $s}})"
    " { edges { node { id part { id } } } } }"
)
RUNS = "query($u: ID!) { runs(filters: {partInventoryId: {eq: $u}}) { edges { node { id title status } } } }"
STEPS = "query($r: ID!) { run(id: $r) { steps { id title position entityId entity { id } } } }"


@pytest.fixture
def ion():
    with Simulator() as simulator:
        yield simulator


def post(url, content, token=""):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(content).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def ask(simulator, query, **variables):
    answer = post(simulator.graphql_url, {"query": query, "variables": variables}, simulator.token)
    assert "errors" not in answer
    return answer["data"]


def nodes(connection):
    return [edge["node"] for edge in connection["edges"]]


def test_a_unit_leads_to_its_run_and_its_steps(ion):
    """Serial to unit, unit to run, run to steps, which know title, place and entity."""
    unit = ion.learn_unit("AB1234", 5, 77, [(41, "clean"), (42, "torque")])
    assert nodes(ask(ion, UNITS, s="AB1234")["partInventories"]) == [{"id": unit, "part": {"id": 5}}]
    (run,) = nodes(ask(ion, RUNS, u=str(unit))["runs"])
    assert run == {"id": 77, "title": "Build AB1234", "status": "in_progress"}
    assert ask(ion, STEPS, r="77")["run"]["steps"][1] == {
        "id": 42,
        "title": "torque",
        "position": 2,
        "entityId": 1_000_042,
        "entity": {"id": 1_000_042},
    }


def test_what_was_not_learned_is_not_there(ion):
    """No unit, no run of a unit, and no steps of a run, though every run id exists."""
    assert nodes(ask(ion, UNITS, s="AB1234")["partInventories"]) == []
    assert nodes(ask(ion, RUNS, u="31001")["runs"]) == []
    assert ask(ion, STEPS, r="77")["run"]["steps"] == []


def test_a_serial_is_unique_for_each_part_only(ion):
    """The same serial of another part is another unit; of the same part it is the same one."""
    first = ion.learn_unit("AB1234", 5, 77)
    other = ion.learn_unit("AB1234", 6, 78)
    assert ion.learn_unit("AB1234", 5, 79, status="complete") == first
    assert [unit["id"] for unit in nodes(ask(ion, UNITS, s="AB1234")["partInventories"])] == [first, other]
    assert [run["id"] for run in nodes(ask(ion, RUNS, u=str(first))["runs"])] == [77, 79]


def test_units_come_in_pages(ion):
    """`first` and `after` cut the list, and `pageInfo` says whether it goes on."""
    for number in range(3):
        ion.learn_unit(f"AB{number}", 5)
    query = (
        "query($after: String) { partInventories(first: 2, after: $after)"
        " { edges { node { serialNumber } } pageInfo { hasNextPage endCursor } } }"
    )
    first = ask(ion, query)["partInventories"]
    assert ([each["serialNumber"] for each in nodes(first)], first["pageInfo"]["hasNextPage"]) == (
        ["AB0", "AB1"],
        True,
    )
    second = ask(ion, query, after=first["pageInfo"]["endCursor"])["partInventories"]
    assert ([each["serialNumber"] for each in nodes(second)], second["pageInfo"]["hasNextPage"]) == (
        ["AB2"],
        False,
    )


def test_a_script_teaches_units(ion):
    """`POST /world` takes one unit or a list of them, and answers with all that is known."""
    post(
        f"{ion.url}/world", {"serial": "AB1", "part": 5, "run": 77, "steps": [{"id": 42, "title": "torque"}]}
    )
    known = post(f"{ion.url}/world", [{"serial": "AB2", "part": 5}])
    assert [(unit["serial"], len(unit["runs"])) for unit in known] == [("AB1", 1), ("AB2", 0)]
    assert ask(ion, STEPS, r="77")["run"]["steps"][0]["title"] == "torque"


@pytest.mark.parametrize(
    "unit",
    [
        [],
        {"serial": "AB1"},
        {"serial": "AB1", "part": "5"},
        {"serial": "AB1", "part": 0},
        {"serial": "AB1", "part": 5, "steps": [1]},
        {"serial": "AB1", "part": 5, "run": 77, "steps": [{"title": "torque"}]},
        {"serial": "AB1", "part": 5, "color": "red"},
        {"serial": "AB1", "part": 5, "run": 70},
    ],
)
def test_what_is_no_unit_is_refused(ion, unit):
    """A mistake in a script is said, and nothing is learned."""
    ion.learn_unit("AB0", 5, 70)
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(f"{ion.url}/world", [unit])
    with caught.value as answer:
        assert answer.code == 400
        assert json.load(answer)["error"]
    assert nodes(ask(ion, UNITS, s="AB1")["partInventories"]) == []


def test_a_reset_leaves_what_was_learned(ion):
    """Units are what ION is like, not what happened."""
    ion.learn_unit("AB1", 5, 77)
    ion.reset()
    assert len(nodes(ask(ion, UNITS, s="AB1")["partInventories"])) == 1
