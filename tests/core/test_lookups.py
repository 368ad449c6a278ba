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
