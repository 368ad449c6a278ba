import pytest

from attachd.simulator import Simulator
from attachd.simulator.lists import connection, fits

NODES = [{"id": number, "entityId": number % 2, "s3Key": f"k{number}"} for number in range(1, 8)]
ENTITY = (
    "query($id: ID!, $after: String) { entity(id: $id) { fileAttachments(first: 2, after: $after) "
    "{ edges { node { id s3Key } } pageInfo { hasNextPage endCursor } } } }"
)
FILTERS = (
    "query($id: ID!, $after: String) "
    "{ fileAttachments(filters: {entityId: {eq: $id}}, first: 2, after: $after) "
    "{ edges { node { id s3Key } } pageInfo { hasNextPage endCursor } } }"
)


def ids(page):
    return [edge["node"]["id"] for edge in page["edges"]]


def test_pages_follow_each_other_without_gap_or_overlap():
    """The cursor of a page's end leads to the next, and the last says so."""
    first = connection(NODES, 3)
    second = connection(NODES, 3, first["pageInfo"]["endCursor"])
    third = connection(NODES, 3, second["pageInfo"]["endCursor"])
    assert ids(first) + ids(second) + ids(third) == [1, 2, 3, 4, 5, 6, 7]
    assert [page["pageInfo"]["hasNextPage"] for page in (first, second, third)] == [True, True, False]


def test_an_empty_page_has_no_cursor():
    """Nothing is listed after the end."""
    assert connection(NODES, 3, "7") == {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (None, [1, 2, 3, 4, 5, 6, 7]),
        ({"entityId": {"eq": "1"}}, [1, 3, 5, 7]),
        ({"entityId": {"eq": "1"}, "s3Key": {"eq": "k3"}}, [3]),
        ({"entityId": {"in": ["0"]}, "s3Key": None}, [2, 4, 6]),
        ({"s3Key": {"ilike": "%k%"}}, []),
    ],
)
def test_filters(filters, left):
    """Each filter counts; an operator that the stand-in does not play takes nothing."""
    assert [node["id"] for node in NODES if fits(node, filters)] == left


@pytest.mark.parametrize(("listing", "query"), [("entity", ENTITY), ("filters", FILTERS)])
def test_attachments_are_listed_by_entity(wire_to, listing, query):
    """Where the schema has a list, it shows the attachments of one entity in pages."""
    with Simulator(listing=listing) as simulator:
        wire = wire_to(simulator)
        attached = [wire.attach(f"{number}.jpg")["id"] for number in range(3)]
        wire.attach("other.jpg", entity_id=1_000_043)
        first = listed(wire.gql(query, id="1000042"))
        second = listed(wire.gql(query, id="1000042", after=first["pageInfo"]["endCursor"]))
    assert ids(first) + ids(second) == attached
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)


def listed(answer):
    """Give the list in an answer, wherever it stands."""
    data = answer["data"]
    return data["entity"]["fileAttachments"] if "entity" in data else data["fileAttachments"]


def test_what_is_published_has_no_list(wire):
    """Unless told, the schema has neither query."""
    answer = wire.gql(FILTERS, id="1")
    assert "Cannot query field 'fileAttachments'" in answer["errors"][0]["message"]


def test_an_unknown_entity_lists_nothing(wire_to):
    """An entity that does not exist is null."""
    with Simulator(listing="entity") as simulator:
        assert wire_to(simulator).gql(ENTITY, id="5")["data"] == {"entity": None}
