import pytest

ION = "    token: {env: ION_TOKEN}\n"
DOUBT = """\
    doubt:
      query: "query($entityId: ID!, $after: String) { list(of: $entityId, after: $after) { id key } }"
      rows: list.edges[].node
      key: storage.key
      id: number
      page: list.pageInfo
"""


def with_doubt(good: str, doubt: str = DOUBT) -> str:
    return good.replace(ION, ION + doubt)


def test_the_query_reaches_the_settings(settings, good):
    """Document and expressions are taken as they stand."""
    doubt = settings(with_doubt(good)).destinations["ion"].doubt
    assert doubt.query.startswith("query($entityId: ID!")
    assert [each.text for each in (doubt.rows, doubt.key, doubt.id, doubt.page)] == [
        "list.edges[].node",
        "storage.key",
        "number",
        "list.pageInfo",
    ]


def test_without_it_the_schema_is_asked(settings, good):
    """No query in the file is no query in the settings."""
    assert settings(good).destinations["ion"].doubt is None


def test_a_short_one_has_ions_names(settings, good):
    """Key and id are those of ION's pages unless told."""
    doubt = (
        settings(with_doubt(good, '    doubt: {query: "query($entityId: ID!) { x }", rows: x}\n'))
        .destinations["ion"]
        .doubt
    )
    assert (doubt.key.text, doubt.id.text, doubt.page) == ("s3Key", "id", None)


@pytest.mark.parametrize(
    ("doubt", "what"),
    [
        ('{query: "query($entityId: ID!) { x }"}', "`rows` is missing"),
        ("{rows: x}", "`query` is missing"),
        ('{query: "mutation($entityId: ID!) { x }", rows: x}', "is no query"),
        ('{query: "query($id: ID!) { x }", rows: x}', "declares no `$entityId`"),
        ('{query: "query($entityId: ID!, $name: ID) { x }", rows: x}', "declares `$name`"),
        ('{query: "query($entityId: ID!, $after: ID) { x }", rows: x}', "`page` and `$after` belong"),
        ('{query: "query($entityId: ID!) { x }", rows: x, page: y}', "`page` and `$after` belong"),
        ('{query: "query($entityId: ID!) { x }", rows: "x["}', "is no JMESPath expression"),
        ('{query: "query($entityId: ID!) { x }", rows: x, key: "["}', "is no JMESPath expression"),
        ('{query: "query($entityId: ID!) { x }", rows: x, more: 1}', "more"),
    ],
)
def test_mistakes_in_it(problems, good, doubt, what):
    """A query that could never settle a doubt is a problem of the file."""
    found = problems(with_doubt(good, f"    doubt: {doubt}\n"))
    assert any(what in line for line in found)
