"""Small decisions of the core that no other test meets: outcomes without an answer, names, messages."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.core.deliveries import delivery

from attachd.core import outcomes
from attachd.core.accounts import RemoteFile
from attachd.core.afters import held_name
from attachd.core.lookups import Query, Unusable, choose, compile_expression, describe, next_cursor
from attachd.core.parts import Date
from attachd.core.patterns import compile_pattern
from attachd.core.replanning import Judgement, replan
from attachd.core.settings import RetryPolicy, SecretRef
from attachd.core.shared_paths import shared_path
from attachd.core.templates import parse_template
from attachd.model import ErrorInfo, ErrorKind, PlannedDelivery, State

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AT = {"at": NOW, "by": "run 1"}
BUG = ErrorInfo(kind=ErrorKind.REJECTED, message="attachd itself failed")


@pytest.mark.parametrize(
    ("change", "to", "counts", "closes"),
    [
        (outcomes.attached("9", **AT), State.DONE, True, True),
        (outcomes.put_back(detail="the service stopped", **AT), State.READY, False, True),
        (outcomes.folder_out(RetryPolicy(first=2.0), **AT), State.WAITING, False, False),
        (outcomes.vanished(**AT), State.VANISHED, False, False),
        (outcomes.superseded(**AT), State.SUPERSEDED, False, False),
        (outcomes.held(BUG, **AT), State.HELD, True, True),
        (outcomes.failed_by_a_bug(BUG, **AT), State.HELD, True, False),
    ],
)
def test_what_an_end_of_an_attempt_counts_and_closes(change, to, counts, closes):
    """Only what says something about the delivery is an attempt; a bug leaves an open intent open."""
    assert (change.to, change.counts, change.close_intent) == (to, counts, closes)
    assert change.waits == 0.0
    assert (change.at, change.by) == (NOW, "run 1")
    assert change.error or to in {State.DONE, State.READY, State.SUPERSEDED}


def test_a_folder_that_is_out_is_looked_at_soon():
    """The next look comes after the shortest pause, whatever came before."""
    change = outcomes.folder_out(RetryPolicy(first=7.0), **AT)
    assert (change.next_attempt_at - NOW).total_seconds() == 7.0


def test_a_signed_url_is_not_printed():
    """What a destination tells of an attachment can be logged."""
    assert "secret" not in repr(RemoteFile(filename="a", entity_id="1", download_url="http://s/?sig=secret"))


def test_the_name_under_way_fits_any_file_system():
    """A name of 255 bytes is shortened by whole characters, and stays one of 255 bytes at most."""
    name = held_name(12345, "é" * 127 + "x")
    assert name.startswith(".attachd-12345-é")
    assert 253 <= len(name.encode()) <= 255


def test_patterns_with_a_type_share_no_path_that_could_be_shown():
    """A regular expression does not say what it takes."""
    types = {"serial": "[A-Z]{2}"}
    one = compile_pattern("{s:serial}.jpg", types=types, case_sensitive=False)
    assert shared_path(one, compile_pattern("{n:slug}.jpg", types=types, case_sensitive=False)) is None


def test_a_relay_answer_tells_where_it_goes_on():
    """The cursor of an answer that is not whole, and none of one that is."""
    page = {"pageInfo": {"hasNextPage": True, "endCursor": "c9"}}
    assert next_cursor({"note": "x", "runs": page}) == "c9"
    assert next_cursor({"runs": {"pageInfo": {"hasNextPage": False, "endCursor": "c9"}}}) is None


def test_a_query_is_described_by_what_it_goes_by():
    """People see the values, not the query."""
    asked = Query(
        document="query { x }",
        variables={"s": parse_template("{serial}", allowed=("serial",))},
        rows=compile_expression("runs"),
    )
    assert describe(asked, {"serial": "AB1234"}) == "serial AB1234"
    assert describe(replace(asked, variables={}), {}) == "nothing"


@pytest.mark.parametrize(
    ("document", "words"), [("query($after: String) { x }", "rows a page"), ("query { x }", "declare")]
)
def test_an_answer_with_more_pages_than_were_read_is_unusable(document, words):
    """The hint depends on whether the query could have asked for further pages."""
    asked = Query(
        document=document,
        variables={},
        rows=compile_expression("runs.edges[].node"),
        give={"entity": compile_expression("entityId")},
    )
    page = {"edges": [{"node": {"entityId": 4}}], "pageInfo": {"hasNextPage": True, "endCursor": "c"}}
    chosen = choose(asked, [{"runs": page}], {})
    assert isinstance(chosen, Unusable)
    assert words in chosen.hint


def test_a_rule_that_takes_the_file_no_more_is_named_as_the_reason():
    """Where another rule's delivery stands already, nobody takes over: the reason is the rule itself."""
    stays = PlannedDelivery(rule="photos", destination="ion", target={"run": "1"}, filename="a.jpg")
    photos = delivery(id=1, rule="photos", target={"run": "1"}, state=State.DONE)
    copies = delivery(id=2, rule="copies", target={"run": "2"}, state=State.READY)
    change = replan([photos, copies], Judgement(planned=[stays], destinations=("ion",)))
    assert change.superseded == {2: "other rules: its rule does not take the file any more"}
    assert not change.added


def test_a_secret_is_never_shown():
    """Its name may be, a literal one may not."""
    assert repr(SecretRef(source="plain", value="canary")) == "SecretRef(plain: ***)"
    assert repr(SecretRef(source="env", value="ION_TOKEN")) == "SecretRef(env: ION_TOKEN)"


@pytest.mark.parametrize(
    ("name", "day"),
    [("20260131_x.csv", "20260131"), ("2026-01-31_x.csv", "2026-01-31"), ("20260230_x.csv", None)],
)
def test_a_date_beside_other_parts_takes_its_own_length(name, day):
    """Of both forms the one that leaves the rest to the rest is found, and no day that is on no calendar."""
    pattern = compile_pattern("{day:date}_{rest}.csv", types={}, case_sensitive=False)
    found = pattern.match(name)
    assert (found and found["day"]) == day


def test_a_date_is_looked_for_before_each_end():
    """Both forms are known, and only where the calendar has the day."""
    assert Date().starts("x2026-01-31", {11}) == {1}
    assert Date().starts("x20260131", {9, 3}) == {1}
    assert Date().starts("x20260231", {9}) == set()
