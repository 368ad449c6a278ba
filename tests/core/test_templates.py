import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attachd.core.templates import (
    AFTER_HASH,
    BUILT_INS,
    Form,
    TemplateError,
    parse_filename,
    parse_template,
)

ALLOWED = {"station", "run", *BUILT_INS} - AFTER_HASH


def fault_of(text):
    """Parse a template that may use `{a}`, and give what is wrong with it."""
    try:
        parse_template(text, allowed={"a"}).render({"a": "x"})
    except TemplateError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{station}", "st-3"),
        ("{station}-{run}-{station}", "st-3-42-st-3"),
        ("{{station}}", "{station}"),
        ("{{{station}}}", "{st-3}"),
        ("a}}{run}{{b", "a}42{b"),
        ("{run}\n{run}", "42\n42"),
    ],
)
def test_a_template_is_substitution(text, rendered):
    """Names in braces become their values, doubled braces become one."""
    assert parse_template(text, allowed=ALLOWED).render({"station": "st-3", "run": "42"}) == rendered


def test_values_are_never_read_as_templates():
    """Braces, percent signs and dollars of a file name stay what they are."""
    hostile = "{run}{0.__class__}%s$(id){{"
    assert parse_template("<{station}>", allowed=ALLOWED).render({"station": hostile}) == f"<{hostile}>"


def test_a_name_without_a_value_gives_nothing():
    """A regex group that took no part in the match renders as the empty text."""
    assert parse_template("[{station}]", allowed=ALLOWED).render({}) == "[]"


def test_names_are_listed_once():
    """`names` tells what a template needs, in order of first use."""
    assert parse_template("{run}{station}{run}{{x}}", allowed=ALLOWED).names == ("run", "station")


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("a{", 1, "this { has no }"),
        ("a}", 1, "this } has no {"),
        ("{station", 0, "this { has no }"),
        ("x{st{ation}}", 1, "this { has no }"),
        ("{}", 0, "no plain name"),
        ("ab{station.upper}", 2, "no plain name"),
        ("{station[0]}", 0, "no plain name"),
        ("{station!r}", 0, "no plain name"),
        ("{run:>8}", 0, "no plain name"),
        ("{ run }", 0, "no plain name"),
        ("é{nothing}", 1, "not known here"),
        ("{sha256}", 0, "cannot stand here"),
    ],
)
def test_a_text_that_is_no_template_is_refused_with_its_place(text, offset, words):
    """Attributes, indexes, formats, lone braces and unknown names are config errors."""
    with pytest.raises(TemplateError) as caught:
        parse_template(text, allowed=ALLOWED)
    assert caught.value.offset == offset
    assert words in caught.value.message


def test_an_unknown_name_is_met_with_the_nearest_one():
    """The hint names what was probably meant, or everything there is."""
    with pytest.raises(TemplateError) as caught:
        parse_template("{statoin}", allowed=ALLOWED)
    assert caught.value.hint == "did you mean station?"
    with pytest.raises(TemplateError) as caught:
        parse_template("{zzz}", allowed={"a", "b"})
    assert caught.value.hint == "known are a, b"


def test_the_hash_is_known_in_filenames():
    """`{sha256}` is refused only where it is not among the allowed names."""
    assert parse_filename("{sha256}-{file}", allowed=ALLOWED | AFTER_HASH).names == ("sha256", "file")


@pytest.mark.parametrize(
    ("text", "offset"),
    [("x-{path}", 2), ("{dir}", 0), ("{folder}", 0), ("a/{file}", 1), ("{{path}}-{path}", 9)],
)
def test_a_filename_has_no_slash(text, offset):
    """Slashes, and the built-ins that bring them along, are config errors in a filename."""
    with pytest.raises(TemplateError, match="slash") as caught:
        parse_filename(text, allowed=ALLOWED)
    assert caught.value.offset == offset


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text("{}a.!:[]", max_size=20))
def test_any_text_parses_or_is_refused(text):
    """Whatever stands in rules.yaml, it is a template or a TemplateError inside the text."""
    fault = fault_of(text)
    assert fault is None or 0 <= fault.offset < len(text)
    assert fault is None or "{" in text or "}" in text


@settings(deadline=None)
@given(st.text(), st.text())
def test_doubled_braces_carry_any_text(before, value):
    """Any text can be written in a template, and any value goes through unchanged."""
    escaped = before.replace("{", "{{").replace("}", "}}")
    assert parse_template(escaped + "{a}", allowed={"a"}).render({"a": value}) == before + value


def test_a_value_that_is_no_id_is_named():
    """The first of them; a template of any other form takes every value."""
    template = parse_template("{run}-{station}", allowed=ALLOWED, form=Form.ID)
    assert template.unfit({"run": "1", "station": "a"}) is None
    assert template.unfit({"run": "1"}) == "station"
    assert template.unfit({"run": "1", "station": "a b"}) == "station"
    assert parse_template("{run}", allowed=ALLOWED).unfit({}) is None


@pytest.mark.parametrize(
    ("text", "message", "offset", "hint"),
    [
        (
            "a{dir}",
            "{dir} cannot stand in a filename, because it brings slashes along",
            1,
            "use {file}, and captures for the segments before it",
        ),
        ("a/b/c", "a filename cannot have a slash", 1, "write - or _ in its place"),
    ],
)
def test_a_filename_without_slashes_is_shown_the_way(text, message, offset, hint):
    """The first place that is wrong, and what to write there."""
    with pytest.raises(TemplateError) as caught:
        parse_filename(text, allowed=BUILT_INS)
    assert (caught.value.message, caught.value.offset, caught.value.hint) == (message, offset, hint)
