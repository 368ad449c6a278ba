import pytest
from graphql import build_schema, parse, validate

from attachd.core.settings import DestinationSettings
from attachd.destinations.introspection import Sent, faults_of
from attachd.destinations.ion import OPEN_AND_LOOK_UP, documents_of
from attachd.destinations.shapes import TYPE, read_type
from attachd.simulator.schema import sdl

ROOTS = {"query": "Query", "mutation": "Mutation"}


def looker(schema):
    from graphql import graphql_sync

    def look(name):
        answer = graphql_sync(schema, TYPE, variable_values={"name": name})
        return read_type((answer.data or {}).get("__type"))

    return look


def faults(document, schema_text=None, **variables):
    schema = build_schema(schema_text or sdl())
    sent = Sent(purpose="test", document=document, variables=variables)
    return list(faults_of(sent, ROOTS, looker(schema)))


def test_every_document_fits_the_published_schema():
    """What attachd sends for every kind of target fits, by this check and by graphql-core's own."""
    settings = DestinationSettings(name="ion", kind="ion", url="https://x/", token=None)
    schema = build_schema(sdl())
    documents = documents_of(settings, frozenset(OPEN_AND_LOOK_UP))
    assert len(documents) == 9
    for sent in documents:
        assert validate(schema, parse(sent.document)) == []
        assert list(faults_of(sent, ROOTS, looker(schema))) == []


WRONG = [
    ("{ nothing { id } }", "Query has no field `nothing`"),
    ("query Q($id: ID!) { run(id: $id) { entity { ID } } }", "Entity has no field `ID`"),
    ("query Q($id: ID!) { run(uuid: $id) { id } }", "Query.run takes no argument `uuid`"),
    ("{ run { id } }", "Query.run wants the argument `id: ID!`"),
    ("query Q($id: Int!) { run(id: $id) { id } }", "Query.run(id) is ID!, and `$id` is declared as Int!"),
    ("query Q($id: ID) { run(id: $id) { id } }", "Query.run(id) is ID!, and `$id` is declared as ID"),
    ("{ run(id: $id) { id } }", "`$id` is not declared"),
    ("{ run(id: 1) }", "Query.run is Run: its fields have to be named"),
    ("{ run(id: 1) { id { x } } }", "Run.id is ID!, which has no fields"),
    ("{ run(id: 1) { ...Missing } }", "there is no fragment `Missing`"),
    ("{ run(id: 1) { ...F } } fragment F on Run { x }", "Run has no field `x`"),
    ("{ run(id: 1) { ... on Run { y } } }", "Run has no field `y`"),
    ("{ run(id: 1) { id } ", "it is no GraphQL document: it ends in the middle"),
    ("subscription { x }", "the schema has no subscription"),
]


@pytest.mark.parametrize(("document", "fault"), WRONG)
def test_what_does_not_fit_is_said(document, fault):
    """Each fault is named with the type, the field and what is wanted."""
    found = faults(document)
    assert fault in found
    assert not any(graphql_says_fine(document))


def graphql_says_fine(document):
    try:
        yield validate(build_schema(sdl()), parse(document)) == []
    except Exception:  # noqa: BLE001 - not even a document
        yield False


def test_inputs_are_checked_by_what_is_sent():
    """Fields of an input that the schema lacks or wants are named, whether written out or in a variable."""
    document = (
        "mutation M($input: CreateFileAttachmentInput!)"
        " { createFileAttachment(input: $input) { fileAttachment { id } } }"
    )
    sent = {"filename": "", "s3Key": "", "s3ETag": "", "entityId": ""}
    assert faults(document, input=sent) == [
        "CreateFileAttachmentInput takes no field `s3ETag`",
        "CreateFileAttachmentInput wants the field `s3Etag: String!`",
    ]
    written = "mutation { createFileAttachment(input: {filename: 1}) { fileAttachment { id } } }"
    assert len(faults(written)) == 3


def test_unions_and_fragments_in_circles_end():
    """A union is selected by fragments alone; a fragment that leads to itself is gone through once."""
    schema = "type Query { any: U } union U = A type A { id: ID! again: U }"
    assert faults("{ any { __typename ... on A { id } } }", schema) == []
    assert faults("{ any { ...F } } fragment F on A { again { ...F } }", schema) == []
    assert faults("{ any { id } }", schema) == ["Query.any is U, which has no fields"]
