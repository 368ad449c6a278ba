from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from attachd.core.patterns import compile_pattern, compile_regex
from attachd.core.settling import LONGEST_LOOK, SECOND, Settler, Settling
from attachd.core.templates import parse_filename
from attachd.core.wholeness import (
    MARKER_NAMES,
    Complete,
    Demands,
    Lack,
    when_too_small,
    when_unmarked,
)
from attachd.model import Signs


@dataclass
class Rule:
    """As much of a rule as is asked here."""

    match: str
    complete: Complete = field(default_factory=Complete)
    name: str = "rule"

    @property
    def patterns(self):
        return (compile_pattern(self.match, types={}, case_sensitive=False),)


@dataclass
class Taken:
    """A rule with a marker of the stem alone, by patterns of any kind."""

    patterns: tuple
    complete: Complete = field(
        default_factory=lambda: Complete(marker=parse_filename("{stem}.ok", allowed=MARKER_NAMES))
    )
    name: str = "rule"


def marked(match, marker):
    """Make a rule with a marker."""
    return Rule(match, Complete(marker=parse_filename(marker, allowed=MARKER_NAMES)))


def signs(size=512, mtime_ns=5 * SECOND):
    """Make signs of a file without holes."""
    return Signs(size=size, mtime_ns=mtime_ns, ctime_ns=5, blocks=-(-size // 512))


def test_the_first_rule_that_takes_a_path_decides():
    """A later one is not asked, and where none takes it nothing is asked for."""
    demands = Demands([Rule("a/*", Complete(min_size=1)), Rule("**", Complete(min_size=2)), Rule("a/b")])
    assert demands.of("a/b").complete.min_size == 1
    assert demands.of("b").complete.min_size == 2
    assert Demands([Rule("a/*")]).of("b") is None


@pytest.mark.parametrize(
    ("marker", "path", "name"),
    [
        ("{file}.done", "x/a.jpg", "x/a.jpg.done"),
        ("{stem}.xml", "a.jpg", "a.xml"),
        ("{stem}-ok.{ext}", "x/y/a.b.jpg", "x/y/a.b-ok.jpg"),
        ("_{file}", "plain", "_plain"),
    ],
)
def test_a_marker_is_named_after_its_file_and_lies_beside_it(marker, path, name):
    """Both ways round: from the file to its marker, and from the marker to its file."""
    demands = Demands([marked("**/*.{jpg|png}", marker), marked("*", marker)])
    assert demands.of(path).marker == name
    assert path in demands.marked_by(name)
    assert demands.is_marker(name)


def test_what_marks_no_file_that_a_rule_takes_is_a_file_of_its_own():
    """Nothing is left out but what stands for something else."""
    demands = Demands([marked("**/*.jpg", "{file}.done"), Rule("**/*.done")])
    assert not demands.is_marker("notes.done")
    assert not demands.is_marker("a.jpg")
    assert demands.is_marker("x/a.jpg.done")
    assert not Demands([Rule("**")]).is_marker("a.jpg.done")


def test_a_marker_with_a_stem_alone_marks_what_the_patterns_name():
    """The file's suffix is not in its marker's name; cameras write it in capitals."""
    demands = Demands([marked("photos/*.{jpg|png}", "{stem}.xml"), Rule("**/*.xml")])
    found = ("photos/a.jpg", "photos/a.JPG", "photos/a.png", "photos/a.PNG")
    assert demands.marked_by("photos/a.xml") == found
    assert not demands.is_marker("reports/a.xml")


@pytest.mark.parametrize(
    ("match", "name"),
    [
        ("photos/*.ti??", "a.tiff"),
        ("photos/*.{number:int}", "a.001"),
        ("photos/*.{day:date}", "a.20260131"),
        ("photos/*.{kind:image}", "a.jpeg"),
        ("photos/{name}", "a.any"),
        ("**", "a"),
        ("**/*.größe", "a.größe"),
    ],
)
def test_a_suffix_that_no_word_of_the_pattern_names_hides_no_marker(match, name):
    """Nothing is attached that stands for something else, however the pattern writes its suffix."""
    types = {"image": "jpe?g|png"}
    taken = Taken((compile_pattern(match, types=types, case_sensitive=False),))
    assert taken.patterns[0].match(f"photos/{name}") is not None
    assert Demands([taken]).is_marker("photos/a.ok")


@pytest.mark.parametrize(
    "regex",
    [
        "photos/[^/]+[.]jpe?g",
        "photos/[^/]+[.][Tt][Ii][Ff]",
        r"photos/.+\.\d{3}",
        "photos/[^/]+[.](?:(?P<kind>[a-z]{4})|zip)",
        r"photos/(\w+)[.]\w{2,3}?",
        "photos/a(?=[.])[.][^.]{4}",
        "photos/(?>a+)([.]tif)?",
        "photos/a{1,4000}[.](x|y{60})",
    ],
)
def test_a_suffix_is_found_in_a_regex_too(regex):
    """Repetitions, choices, classes: what they spell at their shortest is enough."""
    taken = Taken((compile_regex(regex, case_sensitive=True),))
    assert Demands([taken]).is_marker("photos/a.ok")
    assert not Demands([taken]).is_marker("reports/a.ok")


def test_other_rules_replace_the_old_ones():
    """A reload needs no other watch."""
    demands = Demands([Rule("**")])
    demands.rules = [marked("**", "{file}.done")]
    assert demands.is_marker("a.done")
    assert len(demands.rules) == 1


def test_a_file_is_held_against_min_size():
    """As many bytes are enough."""
    complete = Complete(min_size=10)
    assert when_too_small(complete, 10, 5.0) is None
    lack = when_too_small(complete, 9, 5.0)
    assert lack.reason == "it has 9 bytes, and its rule's `min_size` is 10"
    assert lack.patience == 5.0


def test_a_marker_must_be_there_and_not_be_older():
    """The same time is late enough."""
    assert when_unmarked("m", 7, 7, 5.0) is None
    assert "older" in when_unmarked("m", 6, 7, 5.0).reason
    assert "not there" in when_unmarked("m", None, 7, 5.0).reason


LACK = Lack(reason="why", hint="do this", patience=100.0)


def settled(settler, now, size=512):
    """Bring a file to rest and give the verdict."""
    settler.observe("a", signs(size), now)
    return settler.observe("a", signs(size), now + 2.0)


def test_what_lacks_something_is_waited_for_and_then_parked():
    """It is looked at again and again, ever more rarely, and its patience counts from the last change."""
    settler = Settler(2.0)
    verdict = settled(settler, 0.0)
    now = 2.0
    looks = []
    while settler.put_off("a", signs(), verdict, LACK, now).settling is Settling.WAIT:
        assert "a" in settler
        now = max(now, settler.next_due)
        while not settler.due(now):  # a time may be early, never late
            now = settler.next_due
        looks.append(now)
        verdict = settler.observe("a", signs(), now)
    assert now == pytest.approx(100.0)
    parked = settler.put_off("a", signs(), verdict, LACK, now)
    assert (parked.settling, parked.reason, parked.hint) == (Settling.PARKED, "why", "do this")
    assert len(settler) == 0
    pauses = [after - before for before, after in pairwise(looks[:-1])]
    assert pauses == sorted(pauses)
    assert max(pauses) <= LONGEST_LOOK


def test_a_change_starts_the_patience_anew():
    """A writer that goes on is not parked."""
    settler = Settler(2.0)
    settler.put_off("a", signs(), settled(settler, 0.0), LACK, 2.0)
    assert settler.observe("a", signs(1024), 99.0).settling is Settling.WAIT
    verdict = settler.observe("a", signs(1024), 101.0)
    assert settler.put_off("a", signs(1024), verdict, LACK, 101.0).settling is Settling.WAIT


def test_what_is_accepted_at_last_settles_with_the_reason():
    """As a sparse file does."""
    settler = Settler(2.0)
    lack = Lack(reason="why", patience=2.0, accepted=True)
    verdict = settler.put_off("a", signs(), settled(settler, 0.0), lack, 2.0)
    assert (verdict.settling, verdict.reason) == (Settling.SETTLED, "why")


def test_many_unfinished_files_do_not_keep_new_ones_out():
    """Half of the room is for them at most; the others are parked at once, and go on by themselves too."""
    settler = Settler(2.0, capacity=4)
    for name in "abc":
        settler.observe(name, signs(), 0.0)
    outcomes = []
    for name in "abc":
        verdict = settler.observe(name, signs(), 2.0)
        outcomes.append(settler.put_off(name, signs(), verdict, LACK, 2.0).settling)
    assert outcomes == [Settling.PARKED, Settling.WAIT, Settling.WAIT]
    assert settler.room == 2


def test_a_name_that_stands_twice_in_a_marker_is_the_same_name():
    """Another one makes it a file of its own."""
    demands = Demands([marked("*.jpg", "{stem}-{stem}.ok")])
    assert demands.marked_by("a-a.ok") == ("a.jpg", "a.JPG")
    assert not demands.is_marker("a-b.ok")
