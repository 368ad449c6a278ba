from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attachd.core.paths import escape
from attachd.core.patterns import compile_pattern, compile_regex
from attachd.core.rules import Example, FileFacts, Rule, built_ins, judge, planned, refusal, run_example
from attachd.core.templates import BUILT_INS, Form, parse_filename, parse_template
from attachd.model import PlannedDelivery

FACTS = FileFacts(
    path="st-3/42/top/a.JPG",
    folder="/srv/drop",
    size=1234,
    mtime=datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
    first_seen=datetime(2026, 2, 1, 12, 0, tzinfo=UTC),
    host="cell-7",
    timezone=UTC,
)


def rule(name, *patterns, target="{x}", filename="{file}", regex=None, **more):
    """Build a rule with one target field `run_step`."""
    compiled = [compile_pattern(text, types={}, case_sensitive=False) for text in patterns]
    if regex is not None:
        compiled.append(compile_regex(regex, case_sensitive=False))
    allowed = BUILT_INS | {capture for pattern in compiled for capture in pattern.names}
    return Rule(
        name=name,
        patterns=tuple(compiled),
        to="ion",
        target={"run_step": parse_template(target, allowed=allowed)},
        filename=parse_filename(filename, allowed=allowed),
        **more,
    )


PHOTOS = rule("photos", "{station}/{x:int}/**/*.{jpg|png}", filename="{station}-{file}")


def at(path, **more):
    """Give the facts of a file at another path."""
    return replace(FACTS, path=path, **more)


def test_a_matching_rule_plans_a_delivery():
    """Captures and built-ins are rendered into target and filename."""
    (verdict,) = judge([PHOTOS], FACTS)
    assert verdict.matched
    assert verdict.reason == "'{station}/{x:int}/**/*.{jpg|png}' matches"
    assert verdict.captures == {"station": "st-3", "x": "42"}
    assert verdict.planned == PlannedDelivery(
        rule="photos", destination="ion", target={"run_step": "42"}, filename="st-3-a.JPG"
    )
    assert refusal([verdict]) is None


def test_a_rule_that_does_not_match_says_why():
    """The reason is the pattern's; with several patterns, each one's."""
    (verdict,) = judge([PHOTOS], at("st-3/x/a.jpg"))
    assert (verdict.matched, verdict.planned) == (False, None)
    assert verdict.reason == "segment 2 is 'x', which is not digits"
    (verdict,) = judge([rule("two", "{x}.pdf", "b/{x}")], at("a.txt"))
    assert verdict.reason == (
        "'{x}.pdf': the extension 'txt' is not pdf; 'b/{x}': the path has 1 segment, the pattern needs 2"
    )


def test_the_first_pattern_that_matches_gives_the_captures():
    """Of several patterns of a rule, the first one counts."""
    (verdict,) = judge([rule("two", "{x}.pdf", "{x:int}.txt", "{x}.txt")], at("7.txt"))
    assert verdict.captures == {"x": "7"}
    assert verdict.reason == "'{x:int}.txt' matches"


def test_the_first_match_takes_the_file():
    """Later rules are not looked at, and say whether they would match."""
    rules = [rule("a", "b/{x}"), rule("b", "{x}"), rule("c", "{x}.txt"), rule("d", "{x}.pdf")]
    verdicts = judge(rules, at("7.txt"))
    assert [verdict.matched for verdict in verdicts] == [False, True, False, False]
    assert verdicts[2].reason == "not looked at: 'b' took the file (it would match too: '{x}.txt' matches)"
    assert verdicts[3].reason == "not looked at: 'b' took the file (the extension 'txt' is not pdf)"
    assert [each.rule for each in planned(verdicts)] == ["b"]


def test_a_rule_that_continues_lets_later_ones_match():
    """With `continue`, the file goes to each target up to the first rule without it."""
    rules = [rule("a", "{x}", more=True), rule("b", "{x}.{y}", dedupe=False), rule("c", "{x}")]
    deliveries = planned(judge(rules, at("7.txt")))
    assert [(each.rule, each.target["run_step"], each.dedupe) for each in deliveries] == [
        ("a", "7.txt", True),
        ("b", "7", False),
    ]


def test_no_rule_no_delivery():
    """A file that nothing matches has verdicts, no delivery and no refusal."""
    verdicts = judge([PHOTOS], at("readme.txt"))
    assert planned(verdicts) == ()
    assert refusal(verdicts) is None


@pytest.mark.parametrize(
    ("name", "stem", "ext"),
    [
        ("a.txt", "a", "txt"),
        ("a.tar.gz", "a.tar", "gz"),
        ("README", "README", ""),
        (".profile", ".profile", ""),
        ("..x", "..x", ""),
        ("a.", "a", ""),
        ("a b.JPG", "a b", "JPG"),
    ],
)
@pytest.mark.parametrize("directory", ["", "st-3/v1.2/"])
def test_stem_and_ext_part_at_the_last_dot(directory, name, stem, ext):
    """A dot in a directory or at the start of a name parts nothing."""
    values = built_ins(at(directory + name))
    assert (values["file"], values["stem"], values["ext"]) == (name, stem, ext)
    assert (values["path"], values["dir"]) == (directory + name, directory.rstrip("/"))


def test_built_ins_are_all_there():
    """Every built-in has a value, the hash only once it is known."""
    values = built_ins(FACTS)
    assert set(values) == BUILT_INS - {"sha256"}
    assert (values["size"], values["host"], values["folder"]) == ("1234", "cell-7", "/srv/drop")
    assert built_ins(replace(FACTS, sha256="ab12"))["sha256"] == "ab12"


def test_days_are_those_of_the_time_zone():
    """`{date}` and `{file_date}` are calendar days where the settings say, not in UTC."""
    berlin = built_ins(replace(FACTS, timezone=ZoneInfo("Europe/Berlin")))
    assert (berlin["date"], berlin["file_date"]) == ("2026-02-01", "2026-02-01")
    assert built_ins(FACTS)["file_date"] == "2026-01-31"
    own = built_ins(replace(FACTS, timezone=None))["file_date"]
    assert own == FACTS.mtime.astimezone().date().isoformat()


@pytest.mark.parametrize(
    "moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)]
)
@pytest.mark.parametrize("hours", [-12, 14])
def test_times_at_the_end_of_the_calendar_are_rendered(moment, hours):
    """A file with an absurd mtime has a day all the same, in four-digit years."""
    zone = timezone(timedelta(hours=hours))
    values = built_ins(replace(FACTS, mtime=moment, timezone=zone))
    assert len(values["file_date"]) == 10


def test_names_enter_templates_in_escaped_form():
    """What is planned can be stored and sent, whatever bytes a name has; captures stay as on disk."""
    (verdict,) = judge([rule("a", "{x}/*")], at("caf\udce9/a\\\udcff\n.txt"))
    assert verdict.captures == {"x": "caf\udce9"}
    assert verdict.planned is not None
    assert verdict.planned.target == {"run_step": r"caf\xe9"}
    assert verdict.planned.filename == "a\\x5c\\xff\n.txt"


@pytest.mark.parametrize(
    ("made", "path", "words"),
    [
        (rule("r", regex="(?P<x>a)?.*"), "b", "target.run_step comes out empty from '{x}'"),
        (rule("r", "{x}"), " ", "target.run_step comes out empty"),
        (rule("r", "{x}", filename="{ext}"), "b", "the filename comes out as '' from '{ext}'"),
        (rule("r", "{x}/*", filename=".{ext}"), "a/b", "the filename comes out as '.' from '.{ext}'"),
        (rule("r", regex="(?P<x>.*)", filename="{x}"), "a/b", "with a slash, as 'a/b'"),
        (rule("r", "{x}", filename="{sha256}"), "a", "asks for {sha256}"),
    ],
)
def test_a_rendering_that_cannot_be_used_is_refused(made, path, words):
    """The rule keeps the file, makes no delivery and says why."""
    verdicts = judge([made, rule("later", "{x}")], at(path))
    assert (verdicts[0].matched, verdicts[0].planned, verdicts[1].matched) == (True, None, False)
    assert words in verdicts[0].reason
    assert refusal(verdicts) == f"rule 'r': {verdicts[0].reason}"
    assert planned(verdicts) == ()


def test_a_filename_with_the_hash_waits_for_it():
    """`needs_sha256` tells that the file must be read before the rule can render."""
    made = rule("r", "{x}", filename="{sha256}.{ext}")
    assert made.needs_sha256
    assert not PHOTOS.needs_sha256
    assert planned(judge([made], at("a.txt", sha256="ab12")))[0].filename == "ab12.txt"


@pytest.mark.parametrize(
    "example",
    [
        Example(path="st-3/42/top/a.JPG", target={"run_step": "42"}),
        Example(path="st-3/42/a.png", filename="st-3-a.png"),
        Example(path="st-3/42/a.png", target={"run_step": "42"}, filename="st-3-a.png"),
        Example(path="readme.txt", match=False),
        Example(path="first/1/a.jpg", match=False),
    ],
)
def test_examples_that_hold(example):
    """An example holds where this rule, among all of its folder, makes of the path what it says."""
    assert run_example([rule("first", "first/{x}/*"), PHOTOS], PHOTOS, example, FACTS) is None


@pytest.mark.parametrize(
    ("example", "told"),
    [
        (
            Example(path="st-3/42/a.jpg", target={"run_step": "43"}),
            "the target comes out as {run_step: '42'}",
        ),
        (Example(path="st-3/42/a.jpg", target={"run": "42"}), "the target comes out as {run_step: '42'}"),
        (Example(path="st-3/42/a.jpg", filename="a.jpg"), "the filename comes out as 'st-3-a.jpg'"),
        (
            Example(path="st-3/42/a.jpg", match=False),
            "the rule takes it: '{station}/{x:int}/**/*.{jpg|png}' matches",
        ),
        (Example(path="st-3/x/a.jpg", target={}), "segment 2 is 'x', which is not digits"),
        (
            Example(path="first/1/a.jpg", target={"run_step": "1"}),
            (
                "not looked at: 'first' took the file "
                "(it would match too: '{station}/{x:int}/**/*.{jpg|png}' matches)"
            ),
        ),
    ],
)
def test_examples_that_fail_say_what_came_out(example, told):
    """A failing example tells what the rule made of the path instead."""
    assert run_example([rule("first", "first/{x}/*"), PHOTOS], PHOTOS, example, FACTS) == told


def test_an_example_needs_no_bytes():
    """A filename with the hash can be tried without a file: sixty-four zeros stand for it."""
    made = rule("r", "{x}", filename="{sha256}")
    assert run_example([made], made, Example(path="a", filename="0" * 64), FACTS) is None


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4))
def test_every_name_is_planned_or_refused(segments):
    """Whatever bytes a path has, what is planned is sound text, and a file taken is never without a word."""
    path = b"/".join(each.replace(b"/", b"_").replace(b"\0", b"_") for each in segments)
    facts = at(path.decode(errors="surrogateescape"))
    verdicts = judge([rule("a", "**/{x}.{y}", "**/{x}")], facts)
    (made,) = planned(verdicts) or (None,)
    assert (made is None) is (refusal(verdicts) is not None)
    if made is not None:
        assert made.filename == escape(facts.path.rpartition("/")[2])
        assert made.target["run_step"].encode()


def test_the_settings_of_a_rule_go_with_the_delivery():
    """What to do about duplicates and changes is decided by the rule that planned it."""
    (made,) = planned(
        judge([rule("r", "**", target="1", dedupe=False, ignores_changes=True, max_versions=3)], FACTS)
    )
    assert (made.dedupe, made.ignores_changes, made.max_versions) == (False, True, 3)


def test_days_are_those_of_the_service():
    """A late evening in London is the next day in Kiritimati."""
    values = built_ins(replace(FACTS, timezone=timezone(timedelta(hours=14))))
    assert (values["date"], values["file_date"]) == ("2026-02-02", "2026-02-01")


def test_what_a_later_rule_would_capture_is_told():
    """`explain` shows it beside the rule that was not looked at."""
    later = judge([rule("first", "**", target="1"), PHOTOS], FACTS)[1]
    assert later.captures == {"station": "st-3", "x": "42"}


@pytest.mark.parametrize(
    ("path", "value"), [("a b/x.jpg", "a b"), ("a,b/x.jpg", "a,b"), ("x.jpg", "")], ids=repr
)
def test_an_id_is_refused_where_it_is_none(path, value):
    """The value is shown; a group that took no part in the match has none."""
    made = rule("r", regex="(?:(?P<x>[^/]+)/)?[^/]+", filename="f")
    target = parse_template("id-{x}", allowed={"x"}, form=Form.ID)
    made = replace(made, target={"run_step": target})
    (verdict,) = judge([made], at(path))
    assert verdict.reason == f"target.run_step takes an id, and {{x}} is '{value}'"


def test_a_hash_that_nobody_has_made_yet_is_asked_for():
    """It says what is missing; two dots are no filename either."""
    (verdict,) = judge([rule("r", "**", target="1", filename="{sha256}")], FACTS)
    assert verdict.reason == "the filename asks for {sha256}, and the file has not been read yet"
    (verdict,) = judge([rule("r", "{x}", target="1", filename=" {x} ")], at(".."))
    assert verdict.planned is None
