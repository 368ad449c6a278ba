import pytest

from attachd.destinations.documents import Literal, NotADocument, Selection, Variable, read_document

FULL = '''
# a comment with { and "
query Find($id: ID!, $many: [ID!] = [1, 2], $on: Boolean = true @old) @trace(level: "a } b") {
  alias: unit(id: $id, filters: {serial: {eq: """x " } """}, tags: ["a", $id]}) @include(if: $on) {
    ...Names
    ... on Unit { steps(first: -1.5e3) { id } }
    ... @skip(if: false) { other }
  }
}
fragment Names on Unit { name }
'''


def test_reads_what_a_schema_check_needs():
    """Fields without aliases, arguments with their variables and objects, fragments and declared types."""
    document = read_document(FULL)
    assert document.operation == "query"
    assert document.variables == {"id": "ID!", "many": "[ID!]!", "on": "Boolean!"}
    assert document.fragments["Names"] == Selection(on="Unit", below=(Selection(name="name"),))
    (unit,) = document.selections
    assert unit.name == "unit"
    assert unit.args["id"] == Variable("id")
    assert unit.args["filters"] == {"serial": {"eq": Literal()}, "tags": Literal()}
    spread, inline, bare = unit.below
    assert (spread.spread, inline.on, bare.on) == ("Names", "Unit", "")
    assert inline.below[0].below == (Selection(name="id"),)


def test_short_form_is_a_query():
    """A selection alone is a query without variables."""
    document = read_document("{ a { b } }")
    assert (document.operation, document.variables) == ("query", {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no operations"),
        ("{ a } { b }", "2 operations"),
        ("query { a", "ends in the middle"),
        ("query Q($id ID) { a }", "`ID` stands where `:` should"),
        ("select a", "`select` stands where an operation"),
        ("{ a(b: ~) }", "is no GraphQL"),
        ("{ a { " * 200, "nested too deeply"),
    ],
)
def test_what_is_no_document_is_said(text, why):
    """Whatever is wrong, the message says where."""
    with pytest.raises(NotADocument, match=why.replace("(", r"\(")):
        read_document(text)
