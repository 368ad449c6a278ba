import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attachd.core.patterns import Pattern, PatternError, compile_pattern, compile_regex
from attachd.core.templates import BUILT_INS

TYPES = {"serial": "[A-Z]{2}[0-9]{4,8}"}
SEGMENTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=12)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)


def pattern(text: str, *, case_sensitive: bool = False) -> Pattern:
    """Compile with the types of this module."""
    return compile_pattern(text, types=TYPES, case_sensitive=case_sensitive)


@pytest.mark.parametrize(
    ("text", "path", "captures"),
    [
        ("*.pdf", "a.pdf", {}),
        ("*.pdf", ".pdf", {}),
        ("*.pdf", "a/b.pdf", None),
        ("*", "a", {}),
        ("*", "a/b", None),
        ("a?c", "abc", {}),
        ("a?c", "ac", None),
        ("a?c", "a/c", None),
        ("??", "é1", {}),
        ("**", "a", {}),
        ("**", "a/b/c", {}),
        ("**/*.jpg", "x.jpg", {}),
        ("**/*.jpg", "a/b/x.jpg", {}),
        ("a/**", "a", {}),
        ("a/**", "a/b/c", {}),
        ("a/**", "ab/c", None),
        ("a/**/z", "a/z", {}),
        ("a/**/z", "a/b/c/z", {}),
        ("a/**/z", "a/b/c", None),
        ("**/b/**/d", "a/b/c/d", {}),
        ("**/b/**/d", "b/d", {}),
        ("**/b/**/d", "d/b", None),
        ("**/**", "a", {}),
        ("a[1].txt", "a[1].txt", {}),
        ("a[1].txt", "a1.txt", None),
        ("a.txt", "aXtxt", None),
        ("a{{b}}.txt", "a{b}.txt", {}),
        ("{{{x}}}", "{7}", {"x": "7"}),
        ("a\\b", "a\\b", {}),
        ("Été/{x}", "éTÉ/Mixed", {"x": "Mixed"}),
        ("reports/{topic}/*.pdf", "Reports/Weld 7/A.PDF", {"topic": "Weld 7"}),
        ("{n:int}", "007", {"n": "007"}),
        ("{n:int}", "٣", None),
        ("{n:int}", "-1", None),
        ("{s:slug}.txt", "a-B_9.txt", {"s": "a-B_9"}),
        ("{s:slug}.txt", "a b.txt", None),
        ("{s:slug}", "é", None),
        ("{d:date}.csv", "2026-02-28.csv", {"d": "2026-02-28"}),
        ("{d:date}.csv", "20260228.csv", {"d": "20260228"}),
        ("{d:date}.csv", "2026-0228.csv", None),
        ("{d:date}.csv", "2026-02-30.csv", None),
        ("{d:date}.csv", "20261301.csv", None),
        ("{d:date}{n:int}", "202601317", {"d": "20260131", "n": "7"}),
        ("{s:serial}-*", "AB1234-x", {"s": "AB1234"}),
        ("{s:serial}-*", "ab1234-x", None),
        ("*{s:serial}*", "__AB12345678__", {"s": "AB12345678"}),
        ("{side:top|bottom}", "TOP", {"side": "TOP"}),
        ("{side:top|bottom}", "left", None),
        ("x.{jpg|jpeg|png}", "x.JPEG", {}),
        ("x.{jpg|jpeg|png}", "x.gif", None),
        ("{a|ab}{x}", "abc", {"x": "c"}),
        ("{a}-{b}", "1-2-3", {"a": "1-2", "b": "3"}),
        ("{a}-{b}", "1-", None),
        ("{a:int}{b:int}", "1234", {"a": "123", "b": "4"}),
        ("{a}{b}", "é", None),
        ("{a}*{b}", "xyz", {"a": "xy", "b": "z"}),
        ("{dir1}/**/{dir2}/**/f", "a/b/c/f", {"dir1": "a", "dir2": "c"}),
        ("{x}.txt", "a\nb.txt", {"x": "a\nb"}),
        ("{x}.txt", "a.txt\n", None),
        ("*", "\n", {}),
        ("{n:int}", "1\n", None),
        ("{x}.txt", "\udcff\udcfe.txt", {"x": "\udcff\udcfe"}),
        ("{x}.txt", ".txt", None),
    ],
)
def test_a_pattern_gives_the_captures_of_a_whole_path(text, path, captures):
    """A pattern matches the whole relative path and keeps each part inside its segment."""
    assert pattern(text).match(path) == captures


def test_literals_count_case_only_where_asked():
    """`case_sensitive` holds for literals and choices, never for what is captured."""
    strict = pattern("Drop/{x}.{jpg|png}", case_sensitive=True)
    assert strict.match("Drop/AbC.jpg") == {"x": "AbC"}
    assert strict.match("drop/AbC.jpg") is None
    assert strict.match("Drop/AbC.JPG") is None


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("", 0, "empty"),
        ("/a", 0, "segment is empty"),
        ("a//b", 2, "segment is empty"),
        ("a/", 1, "segment is empty"),
        ("./a", 0, "no path has a segment '.'"),
        ("a/../b", 2, "no path has a segment '..'"),
        ("a**", 1, "** stands beside"),
        ("x/**.jpg", 2, "** stands beside"),
        ("***", 0, "*** stands beside"),
        ("{a", 0, "this { has no }"),
        ("a}b", 1, "this } has no {"),
        ("{a|{b}}", 0, "this { has no }"),
        ("x/{}", 2, "no name for a capture"),
        ("{a b}", 0, "no name for a capture"),
        ("{1a}", 0, "no name for a capture"),
        ("{é}", 0, "no name for a capture"),
        ("{a.b}", 0, "no name for a capture"),
        ("{a}/{a}", 4, "occurs twice"),
        ("{file}", 0, "built-in"),
        ("x{n:float}", 1, "unknown type"),
        ("{n:}", 0, "unknown type"),
        ("{a|}", 0, "choice"),
        ("{x:a|b/c}", 0, "slash"),
        ("a\0", 1, "NUL"),
        ("a" * 4097, 0, "longer"),
    ],
)
def test_a_text_that_is_no_pattern_is_refused_with_its_place(text, offset, words):
    """What is wrong with a pattern is said, with the character it begins at."""
    with pytest.raises(PatternError) as caught:
        pattern(text)
    assert caught.value.offset == offset
    assert words in caught.value.message
    assert str(caught.value) == caught.value.message


@pytest.mark.parametrize("name", sorted(BUILT_INS))
def test_no_capture_bears_a_built_in_name(name):
    """A built-in of templates cannot be hidden by a capture, in a pattern or in a regex."""
    with pytest.raises(PatternError, match="built-in"):
        pattern(f"{{{name}}}")
    with pytest.raises(PatternError, match="built-in"):
        compile_regex(f"(?P<{name}>.+)", case_sensitive=False)


def test_an_unknown_type_is_met_with_the_nearest_one():
    """The hint of an unknown type names what was probably meant."""
    with pytest.raises(PatternError) as caught:
        pattern("{n:seriel}")
    assert caught.value.hint == "did you mean serial?"
    with pytest.raises(PatternError) as caught:
        pattern("{n:zzz}")
    assert caught.value.hint == "known are date, int, serial, slug"


def test_names_are_given_from_left_to_right():
    """`names` lists the captures, and nothing else."""
    assert pattern("{b}/**/*{c|d}{a:x|y}").names == ("b", "a")


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("{a}-{b}.jpg", True),
        ("{a}{b:int}", True),
        ("{a:slug}-{b:int}", False),
        ("{a:slug}-{b:slug}", True),
        ("{a:int}-{b:int}", False),
        ("{a:int}-{b}", False),
        ("{a:int}-{b:slug}", False),
        ("{a}-{b:int}.jpg", False),
        ("{a}/{b}", False),
        ("{a}-{b:top|bottom}", False),
        ("**/{a}/**/x", True),
        ("**/x", False),
        ("**/a/**/{x}", False),
        ("{x:a*|b}", True),
        ("{x:aX|b}", False),
        ("*{a|b}?", False),
        ("a\\b", True),
    ],
)
def test_a_pattern_that_can_be_read_in_several_ways_warns(text, warned):
    """Only patterns whose captures nothing keeps apart, or that look like something else, carry a warning."""
    assert bool(pattern(text).warnings) is warned


def test_warnings_say_what_was_read():
    """All of them, each as a clause."""
    assert pattern(r"a\b/**/{a}-{b}/{c:x*|y}/**").warnings == (
        "a backslash is a plain character here; segments are parted by /",
        "a capture stands between two **: the left ** takes as many segments as it can",
        "* and ? are plain characters in a choice; for wildcards write a list of patterns",
        "{a} and {b} stand in one segment: the left one takes as much as it can",
    )


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("{a}/{n:int}/x", "a/b", "the path has 2 segments, the pattern needs 3"),
        ("{a}/{n:int}/**/x", "a", "the path has 1 segment, the pattern needs at least 3"),
        ("{a}/x", "a/b/x", "the path has 3 segments, the pattern needs 2"),
        ("{a}/{n:int}/*", "s/abc/f", "segment 2 is 'abc', which is not digits"),
        ("{d:date}", "x", "segment 1 is 'x', which is not a date like 2026-01-31 or 20260131"),
        (
            "{s:serial}",
            "x",
            "segment 1 is 'x', which is not of the type serial ([A-Z]{2}[0-9]{4,8})",
        ),
        ("reports/*", "images/x", "segment 1 is 'images', which is not 'reports'"),
        ("{s:top|left}/*", "up/x", "segment 1 is 'up', which is not one of 'top', 'left'"),
        ("**/*.{jpg|png}", "a/b.TXT", "the extension 'TXT' is none of jpg, png"),
        ("**/*.pdf", "a/b.txt", "the extension 'txt' is not pdf"),
        ("**/*.pdf", "a/b", "'b' has no extension, and the pattern wants pdf"),
        ("*/{a}-{b}.pdf", "x/y.pdf", "segment 2 is 'y.pdf', which does not fit '{a}-{b}.pdf'"),
        ("**/a/**", "b/c", "no way of filling the ** of '**/a/**' fits"),
        ("{s:slug}", "a\udcffb", r"segment 1 is 'a\xffb', which is not letters, digits, '-' and '_' only"),
    ],
)
def test_a_mismatch_is_told_in_words(text, path, reason):
    """The first thing that is wrong with the path is named, with what the pattern wants instead."""
    assert pattern(text).match(path) is None
    assert pattern(text).mismatch(path) == reason


def test_a_mismatch_of_case_only_is_told():
    """Where only the case differs, the reason says so."""
    strict = pattern("Drop/*.jpg", case_sensitive=True)
    assert strict.mismatch("drop/x.jpg").endswith("is not 'Drop' (upper and lower case count here)")
    assert strict.mismatch("Drop/x.JPG").endswith("is not jpg (upper and lower case count here)")


def test_long_names_are_shortened_in_reasons():
    """A reason stays one readable line, however long the name."""
    assert len(pattern("{n:int}").mismatch("x" * 4000)) < 200


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("*a*a*a*a*a*a*b", "a" * 4000),
        ("{a}a{b}a{c}a{d}a{e}b", "a" * 4000),
        ("**/a/**/a/**/a/**/b", "/".join("a" * 2000)),
        ("{a:int}{b:int}{c:int}x", "1" * 4000),
        ("*{s:serial}*{t:serial}*x", "AB1234" * 42),
        ("*" + "?*" * 40 + "b", "a" * 255),
    ],
)
def test_hostile_paths_are_judged_quickly(text, path):
    """No pattern takes exponential or high polynomial time, whatever the name."""
    begun = time.perf_counter()
    assert pattern(text).match(path) is None
    assert pattern(text).mismatch(path)
    assert time.perf_counter() - begun < 2


PIECES = [
    "*",
    "?",
    "**",
    "/",
    "{a}",
    "{b:int}",
    "{c:slug}",
    "{d:date}",
    "{e:serial}",
    "{x|y}",
    "{{",
    "}}",
    "a",
    ".",
]


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text("{}|:*?/ab\\.\0", max_size=30))
def test_any_text_compiles_or_is_refused(text):
    """Whatever stands in rules.yaml, it is a pattern or a PatternError inside the text."""
    try:
        fault = None if pattern(text).text == text else "another text"
    except PatternError as error:
        fault = None if error.message and 0 <= error.offset <= len(text) else error
    assert fault is None


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), unique_by=lambda piece: piece if "{" in piece else object()), PATHS)
def test_matching_is_total_and_captures_stay_inside_a_segment(pieces, path):
    """Every path gets captures without a slash, or a reason."""
    try:
        compiled = pattern("".join(pieces))
    except PatternError:
        return
    captures = compiled.match(path)
    if captures is None:
        assert compiled.mismatch(path)
    else:
        assert set(captures) == set(compiled.names)
        assert all(text and "/" not in text and text in path for text in captures.values())


BY_BACKTRACKING = {
    "*": "[^/]*",
    "?": "[^/]",
    "{a}": "(?P<a>[^/]+)",
    "{b}": "(?P<b>[^/]+)",
    "{i:int}": "(?P<i>[0-9]+)",
    "{s:slug}": "(?P<s>[A-Za-z0-9_-]+)",
    "{c:a|1}": "(?P<c>a|1)",
    "a": "a",
    "-": "-",
}
ROWS = st.lists(
    st.just(["**"])
    | st.lists(st.sampled_from(sorted(BY_BACKTRACKING)), min_size=1, max_size=4).filter(
        lambda row: "**" not in "".join(row)
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=500)
@given(ROWS, st.lists(st.text("a1-.", min_size=1, max_size=5), min_size=1, max_size=5))
def test_the_walk_agrees_with_backtracking(rows, segments):
    """Captures are those of a greedy regular expression, which may take for ever to find them."""
    names = [piece for row in rows for piece in row if piece.startswith("{")]
    if len(names) != len(set(names)):
        return
    regex = "".join(
        "(?:[^/]+/)*" if row == ["**"] else "".join(map(BY_BACKTRACKING.__getitem__, row)) + "/"
        for row in rows
    )
    found = re.fullmatch(regex, "/".join(segments) + "/")
    expected = None if found is None else found.groupdict()
    assert pattern("/".join(map("".join, rows))).match("/".join(segments)) == expected


@settings(deadline=None)
@given(PATHS)
def test_a_path_written_as_a_pattern_matches_itself(path):
    """With braces doubled and wildcards as `?`, every path is a pattern that matches it."""
    text = path.replace("{", "{{").replace("}", "}}").replace("*", "?")
    if any(segment in {".", ".."} for segment in path.split("/")):
        return
    assert pattern(text).match(path) == {}
    assert pattern(text, case_sensitive=True).match(path) == {}
    assert pattern("**").match(path) == {}


@settings(deadline=None)
@given(SEGMENTS, SEGMENTS)
def test_captures_are_what_stands_there(left, right):
    """A capture gives the text of its segment, character by character."""
    assert pattern("{a}/x/{b}.txt").match(f"{left}/X/{right}.TXT") == {"a": left, "b": right}
