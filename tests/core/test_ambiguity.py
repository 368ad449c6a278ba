import re
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attachd.core.ambiguity import slowness
from attachd.core.patterns import LONGEST_FOR_REGEX, PatternError, check_type, compile_pattern, compile_regex

AMBIGUOUS = [
    "(a+)+",
    "(a*)*",
    "(?:a*)+b",
    "(a|a)*b",
    "(a|ab|b)*c",
    "(a|aa)+$",
    "(.*a){20}",
    "([a-z]+)*\\.png",
    "(?P<x>[^/]+/?)+\\.jpg",
    "(\\w+\\s?)*$",
    "(?:\\w{1,20}-?){1,20}!",
    "(a?){30}b",
    "((?:[a-z0-9]+)_?)+x",
    "(?=(a+)+b)a",
    "(?>(a+)+b)",
    "(.|\\n)*x|(x+x+)+y",
    "(((a{1,8}){1,8}){1,8}){1,8}",
    "(?:(?:a*)?b)*c",
    "(?:(?:a*|)b)*c",
    "(?:(?:a+)?)*b",
    "(a)?(?(1)(b+)+|c)d",
    "(?:[\\d-]a|\\wa)*x",
    "(?:a[^b]|..)*x",
]
SHARING = [".*/.*/.*/.*", "[a-z]*\\w*[a-z0-9]*.*x", "(?:a+)(?:a+)a*(?:ba)*a+b"]
HARMLESS = [
    "reports/(?P<year>20[0-9]{2})/run(?P<run>[0-9]+)[.](?:pdf|csv)",
    "(?P<a>.*)/(?P<b>.*)/(?P<c>.*)[.](?P<d>.*)",
    "(?P<a>[^/]+)/(?P<b>\\d+)/.*\\.jpe?g",
    "[A-Z]{2}[0-9]{4,8}",
    "(?:[^/]+/)*(?P<f>[^/]+)\\.png",
    "(?:[a-z]{1,10}_){1,10}x",
    "(?:[0-9]+[.]){1,3}x",
    "(a++)+b",
    "(?:ab|cd)*",
    "(\\d+)(?:\\.(\\d+))*",
    "(?:.*/)?x\\.png",
    "(?i)[a-z]+(?:-[a-z]+)*",
    "(?:" + "|".join(f"w{number};" for number in range(300)) + ")*",
    "(a)(?(1)b|c)\\1$",
    "(?<!x)a(?!b)",
    "",
]


@pytest.mark.parametrize("regex", AMBIGUOUS)
def test_what_a_hostile_name_could_freeze_is_found(regex):
    """Where a repeated part reads one text in two ways, its time doubles with each character."""
    re.compile(regex)
    assert slowness(regex, re.DOTALL) == "a repeated part of it can read the same text in several ways"


@pytest.mark.parametrize("regex", SHARING)
def test_too_many_loops_that_share_a_text_are_found(regex):
    """Four of them would take the fourth power of a path's length."""
    assert slowness(regex, re.DOTALL) == "4 of its repeated parts can share one text"


@pytest.mark.parametrize("regex", HARMLESS)
def test_what_people_write_is_left_alone(regex):
    """No expression with one way to read each text is refused."""
    assert slowness(regex, re.DOTALL | re.IGNORECASE) == ""


@pytest.mark.parametrize(
    "regex",
    [
        "(?:" * 20 + "a" + "){3}" * 20,
        "(?:" * 20 + "|" + "){3}" * 20,
        "(?:" + "|".join(f"[{'abcdefghijkl'[number % 12]}z]{number:04}" for number in range(300)) + ")*",
        "a?" * 2000,
    ],
    ids=["repetitions of repetitions", "of nothing", "pairs", "steps"],
)
def test_what_is_too_large_to_be_judged_is_refused(regex):
    """The judgement itself ends, however the expression was made."""
    re.compile(regex)
    began = time.process_time()
    assert slowness(regex) == "it is too large to be judged"
    assert time.process_time() - began < 20


def test_deep_loops_are_judged_at_once():
    """The first text that is read in two ways is enough."""
    began = time.process_time()
    assert slowness("(?:a" * 90 + ")*" * 90).startswith("a repeated part of it")
    assert time.process_time() - began < 5


SMALL = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "."]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=7,
)


@given(SMALL)
@settings(max_examples=100, deadline=None)
def test_what_is_left_alone_is_quick_on_every_short_hostile_text(regex):
    """Whatever small expression passes: texts that fail at their end are judged within a moment."""
    if slowness(f"(?:{regex})!", re.DOTALL):
        return
    compiled = re.compile(f"(?:{regex})!", re.DOTALL)
    for text in ("a" * 48, "ab" * 24, "aab" * 16, "abb" * 16):
        began = time.process_time()
        assert compiled.fullmatch(text) is None
        assert time.process_time() - began < 5.0


def test_rules_refuse_such_a_regex_with_words_and_a_way_out():
    """Both `regex` and `types` do; the sentence says why and the hint what to write."""
    with pytest.raises(PatternError, match="busy for hours: a repeated part of it") as caught:
        compile_regex("(?P<a>[^/]+/?)+x", case_sensitive=False)
    assert "never repeat what is repeated already" in caught.value.hint
    with pytest.raises(PatternError, match="busy for hours"):
        check_type("serial", "([A-Z]+)+")
    with pytest.raises(PatternError, match="busy for hours"):
        compile_pattern("{x:serial}", types={"serial": "([A-Z]+)+"}, case_sensitive=False)


def test_no_regex_is_tried_on_a_very_long_path():
    """Such a path is unmatched, with the reason."""
    pattern = compile_regex("(?P<name>.*)", case_sensitive=True)
    longest = "x" * LONGEST_FOR_REGEX
    assert pattern.match(longest) == {"name": longest}
    assert pattern.match(longest + "x") is None
    assert pattern.mismatch(longest + "x").startswith("the path has more than 1024 characters")


@pytest.mark.slow
def test_three_loops_on_the_longest_path_end_in_time():
    """The worst that is let through takes seconds, not hours."""
    program = f"import re\nprint(re.compile('.*a.*a.*ab').fullmatch('a' * {LONGEST_FOR_REGEX}))\n"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "None\n"
