import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachd.core.afters import (
    After,
    AfterKind,
    final_target,
    free_names,
    held_name,
    is_inside,
    literal_fault,
    pause_after,
    plan_after,
    static_directory,
)
from attachd.core.patterns import compile_pattern, compile_regex
from attachd.core.rules import FileFacts, Rule, judge, planned_after
from attachd.core.templates import BUILT_INS, parse_filename, parse_template

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANY_NAME = st.text(st.characters(exclude_characters="/\0", max_codepoint=0x10FFFF), min_size=1, max_size=300)


def template(text):
    return parse_template(text, allowed=BUILT_INS | {"topic", "year"})


def moved(text, base="/etc/attachd"):
    return After(kind=AfterKind.MOVE, move=template(text), base=base)


def rule(name, pattern, *, after=None, more=False, target="1"):
    compiled = (
        compile_pattern(pattern, types={}, case_sensitive=False) if isinstance(pattern, str) else pattern
    )
    return Rule(
        name=name,
        patterns=(compiled,),
        to="ion",
        target={"run": parse_template(target, allowed=BUILT_INS | {"topic"})},
        filename=parse_filename("{file}", allowed=BUILT_INS),
        after=after,
        more=more,
    )


def plan(rules, path):
    facts = FileFacts(
        path=path, folder="/srv/drop", size=7, mtime=DAY, first_seen=DAY, host="h", timezone=UTC, sha256=None
    )
    return planned_after(rules, judge(rules, facts), facts)


def test_a_relative_path_counts_from_the_rules_file():
    """`sent/{topic}/{file}` lies beside rules.yaml; an absolute path is taken as it is."""
    rules = [rule("reports", "reports/{topic}/*.pdf", after=moved("sent/{topic}/{file}"))]
    made = plan(rules, "reports/safety/a.pdf")
    assert (made.rule, made.kind, made.target) == ("reports", "move", "/etc/attachd/sent/safety/a.pdf")
    assert made.fault == ""
    rules = [rule("reports", "reports/{topic}/*.pdf", after=moved("/archive/{date}/{path}"))]
    assert plan(rules, "reports/s/a.pdf").target == "/archive/2026-03-01/reports/s/a.pdf"


def test_keep_and_unmatched_files_have_no_plan():
    """Nothing is planned for `keep`, nor for a file that no rule takes."""
    assert plan([rule("a", "*.pdf")], "a.pdf") is None
    assert plan([rule("a", "*.pdf", after=moved("x/{file}"))], "a.txt") is None


def test_the_first_matching_rule_holds():
    """With `continue` it is the first match that says what becomes of the file, `keep` too."""
    keeps, deletes = rule("keeps", "*", more=True), rule("deletes", "*", after=After(kind=AfterKind.DELETE))
    assert plan([keeps, deletes], "a.pdf") is None
    first = rule("first", "*", after=After(kind=AfterKind.DELETE), more=True)
    made = plan([first, rule("second", "*", after=moved("x/{file}"))], "a.pdf")
    assert (made.rule, made.kind, made.target) == ("first", "delete", None)


def test_a_refused_delivery_forbids_the_action():
    """A file that one of its rules can never attach stays, although another rule delivers it."""
    first = rule("first", "*", after=After(kind=AfterKind.DELETE), more=True)
    made = plan([first, rule("second", "*", target="{ext}")], "noext")
    assert "second" in made.fault
    assert "comes out empty" in made.fault


def test_names_are_not_escaped_and_braces_stay_braces():
    """A moved file keeps its name to the byte; only `{sha256}` is left open, whatever the name looks like."""
    name = "caf\udce9 {sha256} \\ }.pdf"
    made = plan([rule("a", "*", after=moved("sent/{{x}}/{sha256}-{file}"))], name)
    assert final_target(made.target, "ab" * 32) == f"/etc/attachd/sent/{{x}}/{'ab' * 32}-{name}"
    assert final_target(made.target, None) is None


@given(ANY_NAME)
def test_any_name_comes_out_as_it_is(name):
    """What the file is called never changes what the template means."""
    made = plan_after(moved("sent/{file}"), "a", {}, {"file": name})
    if name in {".", ".."}:
        assert made.fault
    else:
        assert final_target(made.target, None) == f"/etc/attachd/sent/{name}"


@pytest.mark.parametrize(
    ("text", "captures", "fault"),
    [
        ("sent/{year}/{topic}", {"topic": "a", "year": ""}, "an empty name"),
        ("sent/{topic}/x", {"topic": ".."}, "a name `..`"),
        ("sent/{topic}/x", {"topic": "."}, "a name `.`"),
        ("sent/{topic}", {"topic": "../x"}, "has a slash"),
        ("{topic}", {"topic": "/etc/passwd"}, "has a slash"),
        ("sent/{dir}/{file}", {}, "an empty name"),
    ],
)
def test_segments_that_lead_elsewhere_are_refused(text, captures, fault):
    """An empty segment, `.`, `..`, and a slash from a capture never make a path."""
    made = plan_after(moved(text), "a", captures, {"dir": "", "file": "f"})
    assert fault in made.fault


def test_a_slash_from_a_regex_is_refused():
    """A regex group may match several segments, which a path does not take."""
    rules = [
        rule("a", compile_regex("(?P<topic>.*)[.]pdf", case_sensitive=False), after=moved("sent/{topic}"))
    ]
    assert "{topic} has a slash, as 'x/y'" in plan(rules, "x/y.pdf").fault
    assert plan(rules, "y.pdf").target == "/etc/attachd/sent/y"


@pytest.mark.parametrize("text", ["sent/", "sent//{file}", "../{file}", "sent/./{file}", "/", "a\0b/{file}"])
def test_a_path_that_no_file_can_have_is_a_mistake_of_the_rule(text):
    """What is wrong whatever the file is called is said before any file comes."""
    assert literal_fault(template(text))


@pytest.mark.parametrize(
    "text", ["sent/{file}", "/a/{path}", "{folder}-sent/{file}", "..{topic}/a", "{topic}..x/a"]
)
def test_a_path_that_may_be_good_is_none(text):
    """What depends on the file is decided by the file."""
    assert literal_fault(template(text)) == ""


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("sent/{file}", "/etc/attachd/sent"),
        ("/srv/drop/sent-{topic}/{file}", "/srv/drop"),
        ("{topic}/{file}", "/etc/attachd"),
        ("{folder}/sent/{file}", "/srv/drop/sent"),
        ("{folder}-sent/{file}", "/srv/drop-sent"),
        ("/x", "/"),
    ],
)
def test_the_directory_that_is_known_before_any_file(text, directory):
    """The part before the first name that depends on the file tells where all of them go."""
    assert static_directory(template(text), "/etc/attachd", "/srv/drop") == directory


def test_inside_is_by_whole_names():
    """`/srv/drop2` is not inside `/srv/drop`; everything is inside `/`."""
    assert is_inside("/srv/drop", "/srv/drop")
    assert is_inside("/srv/drop/a", "/srv/drop")
    assert not is_inside("/srv/drop2", "/srv/drop")
    assert not is_inside("/srv", "/srv/drop")
    assert is_inside("/srv", "/")


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a.jpg", "a (2).jpg"),
        ("a.tar.gz", "a.tar (2).gz"),
        ("a", "a (2)"),
        (".env", ".env (2)"),
        ("a.", "a (2)."),
    ],
)
def test_the_number_stands_before_the_suffix(name, second):
    """The name itself is tried first, then the number before the last suffix."""
    assert [*itertools.islice(free_names(name), 2)] == [name, second]


@given(ANY_NAME, st.integers(1, 10**12))
def test_names_fit_a_directory_entry(name, number):
    """The name that a file bears under way, and the numbered ones, have at most 255 bytes, if its own had."""
    name = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    held = held_name(number, name)
    assert held.startswith(f".attachd-{number}-")
    assert len(held.encode()) <= 255
    if len(name.encode()) <= 255 and len(name.rpartition(".")[2].encode()) < 200:
        made = [*itertools.islice(free_names(name), 12)]
        assert len(set(made)) == 12
        assert all(len(each.encode()) <= 255 for each in made)


def test_pauses_grow_to_a_quarter_of_an_hour():
    """1, 2, 4 … 900 seconds, for ever."""
    assert [pause_after(each) for each in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_after(10) == 512
    assert pause_after(11) == pause_after(10_000) == 900


def test_numbered_names_go_on_and_fit_on_a_disk():
    """One after the other; the suffix is kept, and 255 bytes are never exceeded."""
    assert list(itertools.islice(free_names("..x"), 3)) == ["..x", "..x (2)", "..x (3)"]
    second = next(itertools.islice(free_names("\N{SNOWMAN}" * 84 + ".jpg"), 1, None))
    assert second.endswith("\N{SNOWMAN} (2).jpg")
    assert 252 < len(second.encode()) <= 255
    undecodable = "\udcff" * 255
    assert next(itertools.islice(free_names(undecodable), 1, None)) == "\udcff" * 251 + " (2)"


def test_a_held_name_is_cut_only_where_it_must_be():
    """A name that just fits stays whole."""
    assert held_name(7, "a" * 244) == ".attachd-7-" + "a" * 244
    assert held_name(7, "a" * 245) == ".attachd-7-" + "a" * 244


def test_everything_is_inside_the_root():
    """Its slash is no name."""
    assert is_inside("/a", "/")
    assert not is_inside("/srv/drop-2", "/srv/drop/")


def test_no_path_has_two_slashes_for_its_base():
    """A rules file in the root directory is a base like any other."""
    made = plan([rule("reports", "{topic}/*", after=moved("sent/{file}", base="/"))], "a/b.pdf")
    assert made.target == "/sent/b.pdf"


def test_a_fault_of_a_move_shows_the_path_as_it_was_meant():
    """With the hash still open."""
    made = plan([rule("reports", "*", after=moved("/x/{ext}/{sha256}"))], "b")
    assert made.fault == "the path comes out with an empty name in it, as '/x//{sha256}'"
    assert literal_fault(moved("/a\0b").move) == "a path cannot have a NUL character"


def test_nothing_becomes_of_a_file_that_goes_nowhere():
    """A rule that takes it and makes no delivery of it does not have it moved."""
    assert plan([rule("reports", "*", after=moved("/x/{file}"), target="{ext}")], "b") is None
