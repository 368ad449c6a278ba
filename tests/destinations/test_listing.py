import pytest

from attachd.core.lookups import compile_expression
from attachd.core.protocols import Answer
from attachd.core.settings import DoubtQuery
from attachd.destinations.listing import Found, Page, found_in, read_page, variables_of, verdict

PAGED = DoubtQuery(
    query="query($entityId: ID!, $after: String) { x }",
    rows=compile_expression("list.edges[].node"),
    page=compile_expression("list.pageInfo"),
)
BARE = DoubtQuery(query="query($entityId: Int!) { x }", rows=compile_expression("list"), whole=True)


def answer(rows, **info):
    return {"list": {"edges": [{"node": row} for row in rows], "pageInfo": info}}


def test_only_declared_variables_are_sent_and_numbers_as_numbers():
    """A variable that the document does not declare is not sent; one declared as Int is a number."""
    known = {"entityId": "42", "s3Key": "k", "after": None}
    assert variables_of(PAGED, known) == {"entityId": "42", "after": None}
    assert variables_of(BARE, known) == {"entityId": 42}


def test_a_page_with_another_one():
    """The cursor of the next page is found, and ids are text."""
    page = read_page(PAGED, answer([{"s3Key": "a", "id": 1}], hasNextPage=True, endCursor="c"))
    assert page == Page(rows=(("a", "1"),), sound=True, after="c", last=False)


def test_the_last_page():
    """The last page says so."""
    page = read_page(PAGED, answer([], hasNextPage=False, endCursor=None))
    assert page == Page(rows=(), sound=True, after=None, last=True)


def test_a_bare_list():
    """A list that is whole by its schema needs no page."""
    assert read_page(BARE, {"list": [{"s3Key": "a", "id": "7"}]}).last is True


@pytest.mark.parametrize(
    ("listing", "data"),
    [
        (PAGED, {"list": None}),
        (PAGED, answer([{"s3Key": None, "id": 1}], hasNextPage=False)),
        (PAGED, answer([{"s3Key": "a"}], hasNextPage=False)),
        (PAGED, answer([], endCursor="c")),
        (PAGED, {"list": {"edges": [], "pageInfo": None}}),
        (BARE, {"list": None}),
        (DoubtQuery(query="", rows=compile_expression("list")), {"list": []}),
        (DoubtQuery(query="", rows=compile_expression("length(list)")), {"list": 3}),
    ],
)
def test_an_unsound_page_proves_no_absence(listing, data):
    """Where a row or the end of the list cannot be read, what is not seen may still be there."""
    found = found_in([read_page(listing, data)], "mine")
    assert verdict(found) is Answer.CANNOT_TELL


def test_an_unsound_page_shows_what_it_shows():
    """An attachment that is seen is there, whatever else could not be read."""
    data = answer([{"s3Key": None}, {"s3Key": "mine", "id": 5}], hasNextPage=True)
    assert verdict(found_in([read_page(PAGED, data)], "mine")) is Answer.TOOK_EFFECT


def test_one_unsound_page_spoils_the_whole_list():
    """Absence is proven by every page being sound, and the last one being the last."""
    bad = Page(rows=(), sound=False, after="c", last=False)
    good = Page(rows=(), sound=True, after=None, last=True)
    assert found_in([good], "k") == Found(ids=frozenset(), whole=True)
    assert found_in([bad, good], "k") == Found(ids=frozenset(), whole=False)
    assert found_in([], "k") == Found(ids=frozenset(), whole=False)


@pytest.mark.parametrize(
    ("ids", "whole", "answer"),
    [
        ({"1"}, True, Answer.TOOK_EFFECT),
        ({"1"}, False, Answer.TOOK_EFFECT),
        (set(), True, Answer.DID_NOT),
        (set(), False, Answer.CANNOT_TELL),
        ({"1", "2"}, True, Answer.CANNOT_TELL),
    ],
)
def test_what_a_list_proves(ids, whole, answer):
    """One is ours; none of a whole list is none; two are for a person."""
    assert verdict(Found(ids=frozenset(ids), whole=whole)) is answer
