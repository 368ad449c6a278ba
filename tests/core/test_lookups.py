from dataclasses import replace

import pytest

from attachd.core import lookups
from attachd.core.lookups import Found, Lookup, NoTarget, Query, SeveralTargets, Unusable
from attachd.core.templates import parse_template

NAMES = ("serial", "part", "unit", "step")


def query(*, rows="runs", where=None, give=None, document="query { x }", variables=None):
    """Make a query with the usual captures known."""
    return Query(
        document=document,
        variables={name: parse_template(text, allowed=NAMES) for name, text in (variables or {}).items()},
        rows=lookups.compile_expression(rows),
        where=tuple(
            (lookups.compile_expression(text), parse_template(template, allowed=NAMES))
            for text, template in (where or {}).items()
        ),
        give={
            name: lookups.compile_expression(text) for name, text in (give or {"entity": "entityId"}).items()
        },
    )


def choose(asked, *answers, **known):
    return lookups.choose(asked, answers, known)


def relay(*nodes, more=False):
    return {
        "edges": [{"node": node} for node in nodes],
        "pageInfo": {"hasNextPage": more, "endCursor": "c9"},
    }


STEP = {"id": 4, "entityId": 1004, "title": "torque"}
OTHER = {"id": 5, "entityId": 1005, "title": "clean"}


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        ("runs", {"runs": relay(STEP)}),
        ("runs.edges[].node", {"runs": relay(STEP)}),
        ("runs", {"runs": [STEP]}),
        ("runs", {"runs": STEP}),
        ("runs.edges[].node || runs[]", {"runs": relay(STEP)}),
        ("runs.edges[].node || runs[]", {"runs": [STEP]}),
        ("run.steps[?title=='torque']", {"run": {"steps": [OTHER, STEP]}}),
        ("runs.edges[].node.steps[]", {"runs": relay({"steps": []}, {"steps": [STEP]})}),
    ],
)
def test_one_row_is_found_whatever_the_form_of_the_list(rows, answer):
    """A connection, a bare list and an object by itself are rows under the same expression."""
    assert choose(query(rows=rows), answer) == Found(values={"entity": "1004"})


@pytest.mark.parametrize(
    "answer",
    [{"runs": relay()}, {"runs": []}, {"runs": None}, {}, {"runs": relay(None)}, {"runs": [None]}],
)
def test_no_row_is_no_target(answer):
    """An empty list, null, and nothing at all are the same: it is not there."""
    assert choose(query(), answer) == NoTarget(rows=0)


def test_rows_that_where_refuses_are_counted():
    """People see that there were rows, and that none is the one."""
    asked = query(where={"title": "{step}"})
    assert choose(asked, {"runs": [STEP, OTHER]}, step="paint") == NoTarget(rows=2)


@pytest.mark.parametrize(
    ("value", "text", "equal"),
    [
        (42, "42", True),
        ("42", "42", True),
        ("042", "42", False),
        (42, "042", False),
        (True, "true", True),
        (True, "True", False),
        (1, "true", False),
        (1.5, "1.5", True),
        ("Torque", "torque", False),
        (None, "", False),
        (None, "None", False),
        (None, "null", False),
        ([], "[]", False),
        ({}, "{}", False),
        ("", "", True),
    ],
)
def test_where_is_plain_equality_as_text(value, text, equal):
    """Numbers, strings and booleans are compared as text; null, lists and objects equal nothing."""
    outcome = choose(query(where={"v": "{step}"}), {"runs": [{"v": value, "entityId": 9}]}, step=text)
    assert isinstance(outcome, Found) == equal


def test_several_rows_are_all_listed_by_what_they_give():
    """None of them is taken, and each is told by its given values."""
    asked = query(give={"unit": "id", "name": "title", "gone": "nope"})
    outcome = choose(asked, {"runs": [STEP, OTHER]})
    assert outcome == SeveralTargets(listed=("unit 4 name torque gone -", "unit 5 name clean gone -"), more=0)


def test_a_long_list_and_a_long_value_are_cut_short():
    """A message stays readable whatever the answer holds."""
    rows = [{"entityId": "x" * 500} for _ in range(33)]
    outcome = choose(query(), {"runs": rows})
    assert isinstance(outcome, SeveralTargets)
    assert (len(outcome.listed), outcome.more) == (lookups.MOST_LISTED, 13)
    assert max(map(len, outcome.listed)) < 80


def test_two_equal_rows_are_several():
    """Which of two is meant is a question for a person, however alike they are."""
    assert isinstance(choose(query(), {"runs": [STEP, dict(STEP)]}), SeveralTargets)


@pytest.mark.parametrize("value", [None, "", [1], {"id": 1}])
def test_a_row_without_its_value_cannot_be_used(value):
    """Nothing is attached to an entity that has no id."""
    outcome = choose(query(), {"runs": [{"id": 4, "entityId": value}]})
    assert isinstance(outcome, Unusable)
    assert "give.entity: entityId" in outcome.why


def test_a_function_that_cannot_be_applied_is_said():
    """An expression whose function does not fit the answer names itself."""
    outcome = choose(query(rows="length(runs)"), {"runs": 7})
    assert isinstance(outcome, Unusable)
    assert "length(runs)" in outcome.why


@pytest.mark.parametrize("nodes", [(), (STEP,)])
def test_an_unread_page_leaves_it_open(nodes):
    """One row, or none, proves nothing while another page may hold the one that is meant."""
    outcome = choose(query(), {"runs": relay(*nodes, more=True)})
    assert isinstance(outcome, Unusable)
    assert "$after: String" in outcome.hint


def test_several_rows_are_several_whatever_the_next_page_holds():
    """More pages cannot make two rows one."""
    assert isinstance(choose(query(), {"runs": relay(STEP, OTHER, more=True)}), SeveralTargets)


def test_pages_are_read_as_one_list():
    """The one row may stand on any page, and an earlier page's `hasNextPage` is answered by the next."""
    pages = {"runs": relay(OTHER, more=True)}, {"runs": relay(STEP)}
    assert choose(query(where={"title": "torque"}), *pages) == Found(values={"entity": "1004"})


def test_a_page_missing_inside_a_row_leaves_it_open():
    """A connection within a connection has pages that no cursor of ours reaches."""
    answer = {"runs": relay({"steps": relay(STEP, more=True)})}
    assert isinstance(choose(query(rows="runs.edges[].node.steps.edges[].node"), answer), Unusable)


@pytest.mark.parametrize(
    ("document", "text", "sent"),
    [
        ("query($id: ID!) { x }", "042", "042"),
        ("query($id: Int!) { x }", "042", 42),
        ("query($id:Int) { x }", "-7", -7),
        ("query($id: Int!) { x }", "seven", "seven"),
        ("query($id: Int!) { x }", "٤٢", "٤٢"),
        ("query($id: [Int!]) { x }", "42", "42"),
        ("query($ids: Int, $id: String!) { x }", "42", "42"),
    ],
)
def test_what_is_declared_as_int_is_sent_as_a_number(document, text, sent):
    """Every other type gets the text as it was captured."""
    assert query(document=document, variables={"id": "{part}"}).variables_for({"part": text}) == {"id": sent}


def test_what_a_document_declares_is_read_from_its_text():
    """A variable may be left out where it has a default or may be null."""
    document = 'query Q($a: ID!, $b:[Int!]!, $c: String = "x", $d : Int! = 3) { x(a: $a, y: {b: $b}) }'
    assert lookups.declared_variables(document) == {"a": "ID!", "b": "[Int!]!", "c": "String?", "d": "Int!?"}


def test_a_lookup_starts_from_what_no_earlier_query_gives():
    """Its names are those that make up the target of a delivery."""
    first = query(variables={"s": "{serial}"}, where={"part.id": "{part}"}, give={"unit": "id"})
    second = query(variables={"u": "{unit}"}, where={"title": "{step}", "serial": "{serial}"})
    assert Lookup(name="x", queries=(first, second)).names == ("serial", "part", "step")
    assert Lookup(name="x", queries=(second, first)).names == ("unit", "step", "serial", "part")


def test_a_preview_has_placeholders_for_what_is_not_known_yet():
    """What an earlier query gives stands by its name, between angle brackets."""
    first = query(variables={"s": "{serial}"}, give={"unit": "id"})
    second = query(variables={"u": "{unit}"}, where={"title": "{step} 1"})
    told = lookups.preview(Lookup(name="x", queries=(first, second)), {"serial": "AB1", "step": "torque"})
    assert [each["variables"] for each in told] == [{"s": "AB1"}, {"u": "<unit>"}]
    assert told[1]["where"] == {"title": "torque 1"}


@pytest.mark.parametrize(("text", "offset"), [("a[", 2), ("a..b", 2), ("", 0), ("[?a=", 3)])
def test_a_text_that_is_no_expression_is_refused_where_it_breaks(text, offset):
    """The offset leads to the place in rules.yaml."""
    with pytest.raises(lookups.ExpressionError) as caught:
        lookups.compile_expression(text)
    assert caught.value.offset == offset


def test_expressions_are_compared_by_their_text():
    """The same settings read twice are equal, so that a reload sees what changed."""
    assert query() == query()
    assert query() != query(rows="steps")


def test_what_nobody_declared_goes_as_text():
    """Only what the document declares as `Int` is a number."""
    asked = query(document="query($b: Int) { x }", variables={"a": "7", "b": "8", "c": "9"})
    assert asked.variables_for({}) == {"a": "7", "b": 8, "c": "9"}


def test_long_values_are_shortened_in_the_middle():
    """Sixty characters are no long value."""
    assert lookups.shortened("a" * 60) == "a" * 60
    assert lookups.shortened("a" * 31 + "b" * 30) == "a" * 30 + "\N{HORIZONTAL ELLIPSIS}" + "b" * 30


def test_an_edge_without_a_node_is_no_row():
    """Whatever else a server puts into a connection."""
    answer = {"runs": {"edges": [None, {"node": None}, "x", {"node": STEP}]}}
    assert choose(query(), answer) == Found(values={"entity": "1004"})


def test_no_answer_is_no_target():
    """Nothing was read, so nothing is missing on another page."""
    assert choose(query()) == NoTarget(rows=0)


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        ("query { x }", "declare `$after: String` and use it as its cursor"),
        ("query($after: String) { x }", "ask for more rows a page"),
    ],
)
def test_an_answer_that_is_cut_off_shows_the_way(document, hint):
    """How depends on whether the query can ask for the next page."""
    assert choose(query(document=document), {"runs": relay(STEP, more=True)}) == Unusable(
        why="the answer has more pages than were read, and what is meant may stand on one of them",
        hint=f"narrow the query's filters, or {hint}",
    )


def test_what_cannot_be_used_comes_with_a_correction():
    """Both an expression that does not fit and a row without the text."""
    broken = choose(query(rows="sum(runs)"), {"runs": "x"})
    assert broken.why.startswith("`sum(runs)` cannot be applied: In function sum()")
    assert broken.hint == "correct the expression in rules.yaml"
    assert choose(query(), {"runs": {"id": 4}}) == Unusable(
        why="`give.entity: entityId` finds no text or number in the one row",
        hint="correct `give` in rules.yaml, or ask for that field in the query",
    )
    with pytest.raises(lookups.ExpressionError) as caught:
        lookups.compile_expression("a[")
    assert caught.value.message == "is no JMESPath expression from here on"
    assert caught.value.hint == "see jmespath.org"


def test_what_is_asked_is_told_before_it_is_asked():
    """With what is not known yet in brackets, and nothing for what has no value."""
    first = query(document="one", variables={"a": "{serial}"}, give={"unit": "id"})
    second = query(document="two", where={"unitId": "{unit}", "part": "{part}"})
    lookup = Lookup(name="step", queries=(first, second))
    assert lookups.preview(lookup, {"serial": "A1", "part": "p"}) == (
        {"query": "one", "variables": {"a": "A1"}, "where": {}},
        {"query": "two", "variables": {}, "where": {"unitId": "<unit>", "part": "p"}},
    )
    assert lookups.describe(second, {"unit": "7"}) == "unit 7, part "


def test_rows_that_give_nothing_are_counted_at_least():
    """A query that is only a condition tells them as rows."""
    asked = replace(query(), give={})
    assert choose(asked, {"runs": [STEP, OTHER]}) == SeveralTargets(listed=("a row", "a row"), more=0)
