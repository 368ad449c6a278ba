import pytest

from attachd.core.lookups import compile_expression
from attachd.core.protocols import Answer
from attachd.core.settings import DoubtQuery
from attachd.destinations.absence import AT_WORK
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity
from attachd.simulator.server import Simulator


@pytest.fixture
def account(make_ion, upload, body):
    """Start simulators with a kind of list, and make a destination for each."""
    started = []

    def start(listing, **changes):
        simulator = Simulator(listing=listing)
        simulator.start()
        started.append(simulator)
        ion = make_ion(simulator.token, url=simulator.graphql_url, **changes)
        return simulator, ion

    yield start
    for simulator in started:
        simulator.stop()


def register(ion, upload, body, filename="inspection.jpg"):
    """Make all calls of one delivery; gives its put receipt and its attachment."""
    mine = upload(filename=filename)
    put = ion.put(ion.open(mine), mine, body(b"abc"))
    return put, ion.complete("register", mine, {"put": put})


@pytest.mark.parametrize("listing", ["entity", "filters"])
def test_an_attachment_that_is_listed_took_effect(account, upload, body, listing):
    """The storage key is found among the attachments of the entity, and its id is the remote id."""
    simulator, ion = account(listing)
    put, receipt = register(ion, upload, body)
    outcome = ion.reconcile("register", upload(), {"put": put})
    assert (outcome.answer, outcome.receipt) == (Answer.TOOK_EFFECT, receipt)
    assert len(simulator.attachments) == 1


@pytest.mark.parametrize("listing", ["entity", "filters"])
def test_an_attachment_that_is_not_listed_did_not(account, upload, body, clock, listing):
    """Absence from a whole list is believed, once ION has had time to finish what it may be at."""
    _, ion = account(listing)
    put = ion.put(ion.open(upload()), upload(), body(b"abc"))
    with pytest.raises(Trouble) as caught:
        ion.reconcile("register", upload(), {"put": put})
    assert caught.value.severity is Severity.PASSING
    clock.seconds += AT_WORK
    assert ion.reconcile("register", upload(), {"put": put}).answer is Answer.DID_NOT


def test_a_late_attachment_is_found(account, upload, body, clock):
    """A registration that ION finishes after the first question is not made again."""
    _, ion = account("entity")
    put = ion.put(ion.open(upload()), upload(), body(b"abc"))
    with pytest.raises(Trouble):
        ion.reconcile("register", upload(), {"put": put})
    ion.complete("register", upload(), {"put": put})
    clock.seconds += AT_WORK
    assert ion.reconcile("register", upload(), {"put": put}).answer is Answer.TOOK_EFFECT


@pytest.mark.parametrize("listing", ["entity", "filters"])
def test_every_page_is_read(account, upload, body, listing):
    """An attachment beyond the first page is found."""
    simulator, ion = account(listing)
    for number in range(120):
        register(ion, upload, body, f"{number}.jpg")
    put, receipt = register(ion, upload, body)
    before = simulator.call_counts["query"]
    assert ion.reconcile("register", upload(), {"put": put}).receipt == receipt
    assert simulator.call_counts["query"] > before


def test_the_schema_is_looked_at_once(account, upload, body):
    """A second doubt costs one query."""
    simulator, ion = account("entity")
    put, _ = register(ion, upload, body)
    ion.reconcile("register", upload(), {"put": put})
    before = simulator.call_counts["query"]
    ion.reconcile("register", upload(), {"put": put})
    assert simulator.call_counts["query"] == before + 1


def test_an_upload_that_is_listed_twice_is_for_a_person(account, upload, body):
    """Two attachments of one upload are named, and none of them is chosen."""
    _, ion = account("filters")
    put, first = register(ion, upload, body)
    second = ion.complete("register", upload(), {"put": put})
    outcome = ion.reconcile("register", upload(), {"put": put})
    assert outcome.answer is Answer.CANNOT_TELL
    assert f"attachments {first['remote_id']}, {second['remote_id']}" in outcome.hint


def test_a_schema_without_a_list_leaves_doubt(account, upload, body):
    """What is published has no list: nobody can tell, the hint says where to look, and ION is asked once."""
    simulator, ion = account("none")
    put, _ = register(ion, upload, body)
    for _ in range(2):
        outcome = ion.reconcile("register", upload(), {"put": put})
        assert outcome.answer is Answer.CANNOT_TELL
    assert "inspection.jpg in the attachments panel of run_step 42 (entity 1000042)" in outcome.hint
    assert simulator.call_counts["__schema"] == 1


def test_a_configured_query_is_used_as_it_is(account, upload, body):
    """The document of rules.yaml goes before what the schema offers."""
    query = (
        "query($entityId: ID!) { entity(id: $entityId) { fileAttachments { edges { node { id s3Key } } } } }"
    )
    rows = compile_expression("entity.fileAttachments.edges[].node")
    simulator, ion = account("entity", doubt=DoubtQuery(query=query, rows=rows))
    put, receipt = register(ion, upload, body)
    assert ion.reconcile("register", upload(), {"put": put}).receipt == receipt
    assert simulator.call_counts["__schema"] == 0
    outcome = ion.reconcile("register", upload(), {"put": {**put, "s3_key": "another"}})
    assert outcome.answer is Answer.CANNOT_TELL


def test_a_query_that_does_not_fit_is_told(account, upload, body):
    """A refused document leaves the doubt to a person, with the reason."""
    listing = DoubtQuery(query="query($entityId: ID!) { nothing }", rows=compile_expression("nothing"))
    _, ion = account("none", doubt=listing)
    put, _ = register(ion, upload, body)
    outcome = ion.reconcile("register", upload(), {"put": put})
    assert outcome.answer is Answer.CANNOT_TELL
    assert "is never used" in outcome.hint


@pytest.mark.parametrize("times", [1, 2])
def test_a_question_without_an_answer_is_asked_later(account, upload, body, times):
    """Trouble while asking, for the schema or for the list, is no answer."""
    simulator, ion = account("entity")
    put, receipt = register(ion, upload, body)
    if times == 2:
        ion.reconcile("register", upload(), {"put": put})
    simulator.fault(call="query", do={"status": 503})
    with pytest.raises(Trouble) as caught:
        ion.reconcile("register", upload(), {"put": put})
    assert caught.value.kind is ErrorKind.SERVER
    assert ion.reconcile("register", upload(), {"put": put}).receipt == receipt


def test_a_schema_that_is_not_shown_is_no_list(ion, server, reply, upload, receipts):
    """Where introspection is switched off nobody can tell, and it is not asked for again."""
    server.api.append(reply(body={"errors": [{"message": "GraphQL introspection is not allowed"}]}))
    for _ in range(2):
        assert ion.reconcile("register", upload(), receipts).answer is Answer.CANNOT_TELL
    assert len(server.seen) == 1


def test_an_account_that_is_refused_is_asked_later(ion, server, reply, upload, receipts):
    """A refused token says nothing about the doubt."""
    server.api.append(reply(status=401))
    with pytest.raises(Trouble) as caught:
        ion.reconcile("register", upload(), receipts)
    assert caught.value.severity is Severity.REFUSED


def test_a_delivery_without_its_receipt_is_for_a_person(ion, server, upload):
    """Without a storage key there is nothing to look for."""
    assert ion.reconcile("register", upload(), {}).answer is Answer.CANNOT_TELL
    assert server.seen == []
