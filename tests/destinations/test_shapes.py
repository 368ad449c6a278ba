from functools import cache

import pytest
from graphql import build_schema, graphql_sync, parse, validate

from attachd.destinations import shapes

ATTACHMENT = """
type FileAttachment { id: ID! s3Key: String! }
type Connection { edges: [Edge!]! pageInfo: PageInfo! }
type Edge { node: FileAttachment }
type PageInfo { hasNextPage: Boolean! endCursor: String }
type Plain { edges: [Edge] }
input Equal { eq: ID }
input EqualText { eq: String in: [String!] }
"""


def chosen(sdl):
    """Choose from a schema as it shows itself, and check the document against it."""
    schema = build_schema(ATTACHMENT + sdl)

    @cache
    def look(name):
        answer = graphql_sync(schema, shapes.TYPE, variable_values={"name": name})
        assert answer.errors is None
        return shapes.read_type(answer.data["__type"])

    root = graphql_sync(schema, shapes.ROOT).data["__schema"]["queryType"]["name"]
    found = shapes.choose(look(root), look)
    if found:
        assert validate(schema, parse(found.query)) == []
    return found


def test_a_connection_below_the_entity_is_paged():
    """A Relay connection of the entity is read page by page."""
    found = chosen(
        "type Query { entity(id: ID!): Entity }"
        "type Entity { fileAttachments(first: Int, after: String): Connection! }"
    )
    assert found.query == (
        "query Listing($entityId: ID!, $after: String) { entity(id: $entityId) { fileAttachments(first: 100, "
        "after: $after) { edges { node { id s3Key } } pageInfo { hasNextPage endCursor } } } }"
    )
    assert found.rows.text == "entity.fileAttachments.edges[].node"
    assert found.page.text == "entity.fileAttachments.pageInfo"


def test_a_list_below_the_entity_is_whole():
    """A plain list that takes no part of itself as an argument is all there is."""
    found = chosen("type Query { entity(id: Int!): Entity } type Entity { attachments: [FileAttachment!]! }")
    assert (
        found.query == "query Listing($entityId: Int!) { entity(id: $entityId) { attachments { id s3Key } } }"
    )
    assert (found.rows.text, found.page, found.whole) == ("entity.attachments", None, True)


def test_a_list_that_may_be_cut_is_not_whole():
    """A plain list with a limit may leave something out."""
    found = chosen(
        "type Query { entity(id: ID!): Entity } type Entity { attachments(limit: Int): [FileAttachment] }"
    )
    assert found.whole is False


def test_filters_with_operators():
    """Filters by entity, and by storage key where they can, go the way of the vendor's other queries."""
    found = chosen(
        "type Query { fileAttachments(filters: F, first: Int, after: String): Connection! }"
        "input F { entityId: Equal s3Key: EqualText other: Int }"
    )
    assert found.query.startswith(
        "query Listing($entityId: ID, $s3Key: String, $after: String) { fileAttachments(filters: "
        "{entityId: {eq: $entityId}, s3Key: {eq: $s3Key}}, first: 100, after: $after) {"
    )
    assert found.rows.text == "fileAttachments.edges[].node"


def test_filters_with_plain_values():
    """A filter without operators takes the value itself."""
    found = chosen(
        "type Query { fileAttachments(where: F!): Connection! } input F { entityId: ID! sort: Int! = 1 }"
    )
    assert "fileAttachments(where: {entityId: $entityId})" in found.query
    assert "$after" not in found.query


def test_an_argument_for_the_entity():
    """The entity may be an argument of its own."""
    found = chosen("type Query { fileAttachments(entityId: ID!): [FileAttachment] }")
    assert (
        found.query == "query Listing($entityId: ID!) { fileAttachments(entityId: $entityId) { id s3Key } }"
    )


def test_a_connection_without_pages_proves_no_absence():
    """Without `pageInfo` nobody can tell whether the list has an end."""
    found = chosen("type Query { fileAttachments(entityId: ID!): Plain }")
    assert (found.page, found.whole) == (None, False)


@pytest.mark.parametrize(
    "sdl",
    [
        "type Query { fileAttachment(id: ID!): FileAttachment }",
        "type Query { entity(id: ID!): Entity } type Entity { id: ID! }",
        "type Query { entity(id: ID!, tenant: ID!): Entity } type Entity { attachments: [FileAttachment] }",
        "type Query { entity(id: ID!): Entity } type Entity { attachments: [Other] } type Other { id: ID! }",
        "type Query { entity(id: ID!): Entity } type Entity { attachments(kind: Int!): [FileAttachment] }",
        "type Query { entity(name: ID!): Entity } type Entity { attachments: [FileAttachment] }",
        "type Query { fileAttachments: Connection! }",
        "type Query { fileAttachments(entityId: ID!): Int }",
        "type Query { fileAttachments(filters: F): Connection! } input F { s3Key: EqualText }",
        "type Query { fileAttachments(filters: F): Connection! } input F { entityId: O } input O { x: ID }",
        "type Query { fileAttachments(filters: F): Connection! } input F { entityId: Equal tenant: ID! }",
    ],
)
def test_schemas_without_a_usable_list(sdl):
    """A list that cannot be asked for the attachments of one entity is none."""
    assert chosen(sdl) is None


@pytest.mark.parametrize("given", [None, [], {"fields": 3}, {"fields": [None, {"name": "x"}]}])
def test_odd_answers_have_no_usable_members(given):
    """A schema that is not shown in its proper form offers nothing."""
    found = shapes.read_type(given)
    assert shapes.choose(found, lambda _name: found) is None
