"""Warnings about rules that get in each other's way, and none where they do not."""

import re

import pytest

from attachd.core.covering import takes_all
from attachd.core.overlaps import overlaps
from attachd.core.patterns import compile_pattern, compile_regex
from attachd.core.rules import Example, Rule
from attachd.core.shared_paths import shared_path
from attachd.core.templates import parse_filename, parse_template

TYPES = {"serial": "[A-Z]{2}[0-9]{4}", "word": "[a-z]+"}


def pattern(text, *, case_sensitive=False):
    return compile_pattern(text, types=TYPES, case_sensitive=case_sensitive)


def rule(name, *texts, target="1", more=False, examples=()):
    return Rule(
        name=name,
        patterns=tuple(pattern(text) for text in texts),
        to="ion",
        target={"run": parse_template(target, allowed=frozenset())},
        filename=parse_filename("{file}", allowed=frozenset({"file"})),
        more=more,
        examples=tuple(Example(path=path) for path in examples),
    )


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("**", "a/b/*.jpg"),
        ("**", "**"),
        ("**/*.jpg", "a/{n:int}/x.jpg"),
        ("**/*.jpg", "*.jpg"),
        ("*/*", "{a}/b-{n:date}"),
        ("{a}/{b}", "parts/{n:int}"),
        ("*.{jpg|jpeg|png}", "{x}.{png|jpg}"),
        ("*.jpg", "photo-?.JPG"),
        ("{n:slug}.txt", "{n:int}-a.txt"),
        ("{n:slug}", "{n:date}"),
        ("{n:date}.pdf", "2026-01-31.pdf"),
        ("a?c", "abc"),
        ("{s:serial}/*", "{t:serial}/x"),
        ("a/**/z", "a/b/**/c/z"),
        ("run-*", "run-{n:int}*.pdf"),
    ],
)
def test_a_wider_pattern_takes_all_of_a_narrower_one(wide, narrow):
    """And not the other way round, unless they are the same."""
    assert takes_all(pattern(wide), pattern(narrow))
    assert wide == narrow or not takes_all(pattern(narrow), pattern(wide))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("*.jpg", "*.jpeg"),
        ("{n:int}/*", "{n}/*"),
        ("*/*", "**"),
        ("a*", "*a"),
        ("?", "*"),
        ("{n:date}", "{n:int}"),
        ("{s:serial}", "ab1234"),
        ("{s:serial}", "{w:word}"),
        ("{a|b}", "{a|c}"),
        ("{x}", "*"),
        ("x/**", "**"),
    ],
)
def test_what_is_not_surely_taken_counts_as_not_taken(one, other):
    """No pattern is called unreachable that may have its turn."""
    assert not takes_all(pattern(one), pattern(other))


PIECES = ["*", "a", "?", "{x}", "{x:int}", "b.{jpg|png}", "**", "1"]
PATHS = ["a", "1", "ab", "a/1", "1/b.jpg", "a/b.png", "a/1/a", "1/1/b.jpg", "x/y/z", "a/a/a/1", "b.jpg", "12"]


@pytest.mark.parametrize("first", PIECES)
@pytest.mark.parametrize("second", PIECES)
def test_nothing_is_said_that_is_not_true(first, second):
    """Of every two small patterns: taken as a whole is taken path by path, and a shared path is shared."""
    texts = [first, f"{first}/{second}".replace("{x", "{y", 1), second]
    compiled = [pattern(text) for text in texts]
    for one in compiled:
        for other in compiled:
            if takes_all(one, other):
                assert all(one.match(path) is not None for path in PATHS if other.match(path) is not None)
            path = shared_path(one, other)
            if path is None:
                assert not [p for p in PATHS if one.match(p) is not None and other.match(p) is not None]
            else:
                assert one.match(path) is not None
                assert other.match(path) is not None


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ("{station}/{n:int}/**/*.{jpg|png}", "parts/{part:int}/*", "parts/1/x.jpg"),
        ("a*", "*b", "ab"),
        ("**/x/*", "y/**", "y/x/x"),
        ("{d:date}-*", "2026*x", "20260131-x"),
        ("*.jpg", "*.png", None),
        ("a/b", "a/b/c", None),
        ("{n:int}", "{w:slug}", "1"),
    ],
)
def test_a_shared_path_is_shown(one, other, path):
    """The shortest that says something, or none where they share none."""
    assert shared_path(pattern(one), pattern(other)) == path


def test_a_rule_behind_a_wider_one_never_has_its_turn():
    """It is named, with the rule that takes its paths."""
    (found,) = overlaps([rule("all", "**"), rule("photos", "*.jpg", "*.png", target="2")])
    assert (found.rule, found.pattern) == (1, None)
    assert "'all' before it takes every path" in found.what


def test_one_pattern_of_several_may_be_the_one_that_is_never_asked():
    """Only that one is pointed at."""
    (found,) = overlaps([rule("a", "a/*"), rule("b", "b/*", "a/x")])
    assert (found.rule, found.pattern) == (1, 1)


def test_the_special_before_the_general_is_no_overlap():
    """That is how rules are ordered."""
    assert list(overlaps([rule("a", "a/*.jpg"), rule("rest", "**", target="2")])) == []


def test_continue_takes_nothing_away():
    """What goes on to later rules hides none of them."""
    assert list(overlaps([rule("a", "**", more=True), rule("b", "*.jpg", target="2")])) == []


def test_two_rules_that_share_a_path_are_named_with_it():
    """The later one would like a path that the earlier one takes."""
    (found,) = overlaps([rule("a", "a/*"), rule("b", "*/b", target="2")])
    assert re.match("'a/b' would fit this rule too, and 'a' before it takes it", found.what)


def test_an_example_of_a_shared_path_says_that_it_is_meant():
    """Whoever wrote that example knows."""
    assert list(overlaps([rule("a", "a/*", examples=["a/b"]), rule("b", "*/b", target="2")])) == []


def test_two_rules_with_the_same_result_do_not_matter():
    """Whichever takes the path, it goes to the same place."""
    assert list(overlaps([rule("a", "a/*"), rule("b", "*/b")])) == []


def test_a_regex_is_passed_over():
    """Nothing sure can be said of it, save that it stands there twice."""
    one, other = (compile_regex(text, case_sensitive=False) for text in ("a/.*", "b/.*"))
    assert takes_all(one, one)
    assert not takes_all(one, other)
    assert not takes_all(pattern("**"), one)
    assert shared_path(one, pattern("**")) is None


def test_many_choices_are_left_alone():
    """A pattern with more ways to be spelled than are worth trying is not compared."""
    many = "{" + "|".join(f"w{number}" for number in range(100)) + "}"
    assert not takes_all(pattern("w*"), pattern(many))
    assert shared_path(pattern("w*"), pattern(many)) is None


def told(*rules):
    return [(each.rule, each.pattern, each.what, each.hint) for each in overlaps(rules)]


def test_each_warning_says_where_what_and_how_to_go_on():
    """For a rule as a whole, for one of its patterns, and for a path that two rules take."""
    before = "the special rule goes before the general one; or say `continue: true` there"
    assert told(rule("a", "a/*"), rule("b", "b/*"), rule("c", "a/x", "b/y"), rule("d", "b/z", "c/*")) == [
        (
            2,
            None,
            "this rule never has its turn: 'a' and 'b' before it takes every path that it could",
            before,
        ),
        (3, 0, "this pattern never has its turn: 'b' before it takes every path that it could", before),
    ]
    narrower = "if that is meant, give such a path as an example; else make one of them narrower"
    ((place, pattern, what, hint),) = told(rule("a", "*.jpg"), rule("b", "x*", target="2"))
    assert (place, pattern, hint) == (1, None, narrower)
    assert what.endswith(" would fit this rule too, and 'a' before it takes it")


def test_an_example_of_one_of_two_rules_excuses_neither():
    """Only a path that both would take shows that the overlap is meant."""
    one, other = rule("a", "*.jpg", examples=("y.jpg",)), rule("b", "x*", target="2")
    assert len(told(one, other)) == 1
    assert told(rule("a", "*.jpg", examples=("x.jpg",)), other) == []


def test_a_harmless_neighbour_hides_no_warning():
    """All earlier rules are compared, and all patterns of them."""
    same, jpg = rule("same", "?x*"), rule("jpg", "a/*", "*.jpg", target="2")
    assert [each[0] for each in told(same, jpg, rule("x", "x*"), rule("y", "a/b"))] == [1, 2, 3]
    special = rule("special", "x.jpg", "*.jpg", target="2")
    assert len(told(special, rule("x", "x*"))) == 1
