from concurrent.futures import ThreadPoolExecutor

import pytest

from attachd.core.lookups import Lookup, Query, compile_expression
from attachd.core.templates import parse_template
from attachd.destinations.lookups import KEPT_FOR
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity
from attachd.simulator import Ids, Simulator

UNITS = """
query($serial: String!, $after: String) {
  partInventories(filters: {serialNumber: {eq: $serial}}, first: 2, after: $after) {
    edges { node { id part { id } } } pageInfo { hasNextPage endCursor }
  }
}
"""
RUNS = "query($unit: ID!) { runs(filters: {partInventoryId: {eq: $unit}}) { edges { node { id status } } } }"
STEPS = "query($run: ID!) { run(id: $run) { steps { id title entityId } } }"
NAMES = ("serial", "station", "unit", "run", "part")


def query(document, rows, give, *, variables=None, where=None):
    return Query(
        document=document,
        variables={name: parse_template(text, allowed=NAMES) for name, text in (variables or {}).items()},
        rows=compile_expression(rows),
        where=tuple(
            (compile_expression(text), parse_template(template, allowed=NAMES))
            for text, template in (where or {}).items()
        ),
        give={name: compile_expression(text) for name, text in give.items()},
    )


FIRST = query(UNITS, "partInventories", {"unit": "id"}, variables={"serial": "{serial}"})
OF_PART = query(
    UNITS, "partInventories", {"unit": "id"}, variables={"serial": "{serial}"}, where={"part.id": "{part}"}
)
CHAIN = (
    FIRST,
    query(RUNS, "runs", {"run": "id"}, variables={"unit": "{unit}"}, where={"status": "in_progress"}),
    query(
        STEPS, "run.steps", {"entity": "entityId"}, variables={"run": "{run}"}, where={"title": "{station}"}
    ),
)
TARGET = {"lookup": "step", "serial": "AB1234", "station": "torque"}


@pytest.fixture(params=[False, True], ids=["ids as numbers", "ids as text"])
def simulator(request):
    """Play ION, with ids written in either way."""
    with Simulator(ids=Ids(as_text=request.param)) as running:
        yield running


@pytest.fixture
def make(simulator, make_ion):
    """Make destinations with a lookup called `step`."""

    def with_queries(*queries, **more):
        lookups = {"step": Lookup(name="step", queries=queries or CHAIN)}
        return make_ion(simulator.token, url=simulator.graphql_url, lookups=lookups, **more)

    return with_queries


def trouble_of(ion, upload):
    with pytest.raises(Trouble) as caught:
        ion.open(upload)
    assert caught.value.severity is Severity.LASTING
    return caught.value


def test_a_chain_of_queries_leads_to_the_entity(make, simulator, upload):
    """Serial number, unit, run, step: the ticket bears the entity of the step that is meant."""
    simulator.learn_unit("AB1234", 5, 77, [(41, "clean"), (42, "torque")])
    simulator.learn_unit("AB1235", 5, 78, [(51, "clean"), (52, "torque")])
    assert make().open(upload(target=TARGET)).facts["entity_id"] == "1000042"
    assert make().open(upload(target={**TARGET, "serial": "AB1235"})).facts["entity_id"] == "1000052"


def test_what_was_found_is_believed_for_a_minute(make, simulator, upload, clock):
    """The next file to the same target asks only for its URL; after a minute the chain is walked again."""
    simulator.learn_unit("AB1234", 5, 77, [(42, "torque")])
    ion = make()
    ion.open(upload(target=TARGET))
    clock.seconds += KEPT_FOR - 1
    ion.open(upload(target=TARGET))
    assert simulator.call_counts["partInventories"] == 1
    clock.seconds += 1
    ion.open(upload(target=TARGET))
    assert simulator.call_counts["partInventories"] == 2
    assert simulator.call_counts["open"] == 3


def test_what_was_not_found_is_asked_for_every_time(make, simulator, upload):
    """A unit that comes into being is found at the next look."""
    ion = make()
    missing = trouble_of(ion, upload(target=TARGET))
    assert missing.kind is ErrorKind.NO_TARGET_YET
    assert missing.message == "lookup 'step', query 1 of 3: nothing is there yet for serial AB1234"
    assert simulator.call_counts["open"] == 0
    simulator.learn_unit("AB1234", 5, 77, [(42, "torque")])
    assert ion.open(upload(target=TARGET)).facts["entity_id"] == "1000042"


def test_a_step_that_is_not_among_the_rows_is_not_there_yet(make, simulator, upload):
    """The message says which query found rows, and that none of them is the one."""
    simulator.learn_unit("AB1234", 5, 77, [(41, "clean")])
    missing = trouble_of(make(), upload(target=TARGET))
    assert missing.kind is ErrorKind.NO_TARGET_YET
    assert "query 3 of 3: none of 1 rows is the one for run 77, station torque" in missing.message


def test_a_doubled_serial_is_told_with_all_it_may_mean(make, simulator, upload):
    """Two units with one serial number: both are listed, neither is taken."""
    first = simulator.learn_unit("AB1234", 5, 77, [(42, "torque")])
    second = simulator.learn_unit("AB1234", 6, 78, [(52, "torque")])
    several = trouble_of(make(), upload(target=TARGET))
    assert several.kind is ErrorKind.SEVERAL_TARGETS
    assert several.message.endswith(f"2 rows for serial AB1234: unit {first}; unit {second}")
    assert "narrow the lookup" in several.hint


def test_a_part_tells_units_of_one_serial_apart(make, simulator, upload):
    """`where` compares what a row holds with what the path says."""
    simulator.learn_unit("AB1234", 5, 77, [(42, "torque")])
    simulator.learn_unit("AB1234", 6, 78, [(52, "torque")])
    ion = make(OF_PART, *CHAIN[1:])
    assert ion.open(upload(target={**TARGET, "part": "6"})).facts["entity_id"] == "1000052"


def test_further_pages_are_read(make, simulator, upload):
    """A query that declares `$after` is asked again until its last page."""
    for part in range(1, 6):
        simulator.learn_unit("AB1234", part, 70 + part, [(40 + part, "torque")])
    ion = make(OF_PART, *CHAIN[1:])
    assert ion.open(upload(target={**TARGET, "part": "5"})).facts["entity_id"] == "1000045"
    assert simulator.call_counts["partInventories"] == 3


def test_a_query_that_does_not_fit_the_schema_is_held(make, simulator, upload):
    """A field that ION does not have is a mistake in rules.yaml, told with the place of the query."""
    wrong = query("query { partInventories { nodes { id } } }", "partInventories.nodes", {"entity": "id"})
    refused = trouble_of(make(wrong), upload(target=TARGET))
    assert refused.kind is ErrorKind.REJECTED
    assert "lookup 'step', query 1 of 1" in refused.message
    assert "check --online" in refused.hint


def test_trouble_of_the_destination_stays_what_it_is(make, simulator, upload):
    """A server that fails is tried again, whatever it was asked for."""
    simulator.fault(call="query", do={"status": 503})
    with pytest.raises(Trouble) as caught:
        make().open(upload(target=TARGET))
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.SERVER, Severity.PASSING)


def test_an_object_that_an_error_calls_unknown_is_not_there_yet(make, simulator, upload):
    """Whether it is missing in the list or by an error makes no difference."""
    simulator.fault(call="query", do={"graphql_error": "PartInventory not found"})
    assert trouble_of(make(), upload(target=TARGET)).kind is ErrorKind.NO_TARGET_YET


@pytest.mark.parametrize(
    "target",
    [{"lookup": "steps", "serial": "AB1234", "station": "torque"}, {"lookup": "step", "serial": "1"}],
)
def test_a_target_that_no_lookup_fits_is_a_matter_of_rules_yaml(make, simulator, upload, target):
    """A delivery from older rules names a lookup, or lacks a value, that is no more."""
    assert trouble_of(make(), upload(target=target)).kind is ErrorKind.CONFIG
    assert not simulator.call_counts


def test_an_entity_that_is_refused_is_looked_up_anew(make, simulator, upload, receipts):
    """What ION calls unknown at registration is dropped, and the next attempt starts over."""
    simulator.learn_unit("AB1234", 5, 77, [(42, "torque")])
    ion = make()
    ion.open(upload(target=TARGET))
    simulator.fault(call="register", do={"graphql_error": "Entity 1000042 not found"})
    with pytest.raises(Trouble) as caught:
        ion.complete("register", upload(target=TARGET), receipts)
    assert caught.value.restart
    ion.open(upload(target=TARGET))
    assert simulator.call_counts["partInventories"] == 2


def test_workers_with_one_target_ask_once(make, simulator, upload):
    """Eight photos of one unit that start together walk the chain one time."""
    simulator.learn_unit("AB1234", 5, 77, [(42, "torque")])
    simulator.fault(call="query", do={"delay": 0.3})
    ion = make()
    with ThreadPoolExecutor(8) as pool:
        tickets = list(pool.map(ion.open, [upload(target=TARGET)] * 8))
    assert {ticket.facts["entity_id"] for ticket in tickets} == {"1000042"}
    assert simulator.call_counts["partInventories"] == 1
    assert simulator.call_counts["open"] == 8
