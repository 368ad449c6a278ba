"""A rule's `regex` and the expressions of `types`: Python's own, within limits."""

import pytest

from attachd.core.patterns import PatternError, check_type, compile_pattern, compile_regex


def test_a_regex_matches_the_whole_path():
    """`regex` is a full match over the relative path, newlines included; idle groups capture nothing."""
    regex = compile_regex(r"(?P<a>[^/]+)/(?P<b>x)?.*\.jpg", case_sensitive=False)
    assert regex.names == ("a", "b")
    assert regex.match("One/x\n.JPG") == {"a": "One", "b": "x"}
    assert regex.match("One/y/z.jpg") == {"a": "One"}
    assert regex.match("One/y.jpg\n") is None
    assert regex.mismatch("One/y.png") == "the regex does not match the whole path"


def test_a_regex_counts_case_only_where_asked():
    """`case_sensitive` holds for a regex as a whole."""
    assert compile_regex("a+", case_sensitive=False).match("AA") == {}
    assert compile_regex("a+", case_sensitive=True).match("AA") is None


@pytest.mark.parametrize(
    ("text", "offset"),
    [("a(", 1), ("(?P<é>x)", 0), ("x(?P<path>y)", 1), ("a{99999999999}", 0), ("[[a]", 0), ("a" * 5000, 0)],
)
def test_an_unusable_regex_is_refused(text, offset):
    """What Python refuses or warns of, and names no capture may bear, are refused with their place."""
    with pytest.raises(PatternError) as caught:
        compile_regex(text, case_sensitive=False)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "regex", ["[A-Z]{2}[0-9]{4,8}", "[^/]+", "[^\\]/]+", "(?P<x>a)(?P=x)", "^v[0-9]+$", "(?i)sn[0-9]+"]
)
def test_usable_types_are_taken(regex):
    """A type may have groups, references, anchors and flags of its own."""
    check_type("kind", regex)
    compile_pattern("{a}-{b:kind}", types={"kind": regex}, case_sensitive=False)


def test_a_types_own_groups_disturb_nothing():
    """Groups and references inside a type are its own, even where two captures use it."""
    types = {"twin": r"(?P<a>[a-z])(?P=a)", "anchored": "^v[0-9]+$"}
    compiled = compile_pattern("{a:twin}-{b:twin}.{c:anchored}", types=types, case_sensitive=False)
    assert compiled.match("xx-yy.v1") == {"a": "xx", "b": "yy", "c": "v1"}
    assert compiled.match("xx-yz.v1") is None


@pytest.mark.parametrize(
    ("name", "regex", "words"),
    [
        ("kind", ".+", "slash"),
        ("kind", r"\S+", "slash"),
        ("kind", "a/b", "slash"),
        ("kind", "[a-z/]+", "slash"),
        ("kind", "(", "regular expression"),
        ("int", "[0-9]", "built-in"),
        ("my type", "x", "no name"),
    ],
)
def test_unusable_types_are_refused(name, regex, words):
    """A type that may match a slash, is no regular expression or bears a taken name is refused."""
    with pytest.raises(PatternError, match=words):
        check_type(name, regex)


@pytest.mark.parametrize(
    ("regex", "offset"), [("/", 0), ("/x", 0), ("ab/c/d", 2), ("[^/]+/", 5), (".", 0), ("[^x]", 0)]
)
def test_a_type_that_may_match_a_slash_is_shown_its_place(regex, offset):
    """The first slash outside a negated class; where there is none, the expression as a whole."""
    with pytest.raises(PatternError) as caught:
        check_type("kind", regex)
    assert caught.value.message == "the type kind may match a slash"
    assert caught.value.offset == offset
    assert caught.value.hint == "a type stays inside one segment: write [^/] in place of . and \\S"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("2nd", "a name has letters, digits and _, and no digit first"), ("date", "give yours another name")],
)
def test_a_type_that_may_not_be_called_so_is_shown_the_way(name, hint):
    """Its expression is fine."""
    with pytest.raises(PatternError) as caught:
        check_type(name, "x")
    assert caught.value.hint == hint


def test_a_path_of_just_the_limit_is_told_as_any_other():
    """Only beyond it no regex is tried."""
    regex = compile_regex("a", case_sensitive=True)
    assert regex.mismatch("x" * 1024) == "the regex does not match the whole path"
    assert regex.mismatch("x" * 1025).startswith("the path has more than 1024 characters")
