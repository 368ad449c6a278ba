import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from attachd.core.markdown import as_line, as_text
from attachd.core.templates import Form, listed, parse_template

READER = MarkdownIt("commonmark").enable(["strikethrough", "table"])
"""Reads markdown as the specification says, beside the code under test: a parser of another project."""

JOINER = "\N{WORD JOINER}"
MEANING = (
    "[x](http://evil) *a* _b_ `c` ~~d~~ <b> &amp; | # > - + = : 1. 2) \\ ! @all www. \n\r\t\x00\u2028\u202e"
)
HOSTILE = st.text(st.sampled_from(sorted(set(MEANING))) | st.characters(codec="utf-8"), max_size=30)
AROUND = [
    "{a}",
    "New {a} here",
    "{a} x",
    "x {a}",
    "{a}{a}",
    "x\n{a}\ny",
    "> {a}",
    "- {a}",
    "x\n\n{a}",
    "1{a} x",
]


def shown(markdown):
    """Give what a reader sees of a text, and the kinds of everything in it."""
    tokens = READER.parse(markdown)
    inline = [child for token in tokens for child in token.children or []]
    seen = "".join("\n" if each.type == "softbreak" else each.content for each in inline)
    return seen, [token.type for token in tokens] + [each.type for each in inline if each.type != "text"]


def plainly(value):
    """Give a value as people are to see it: on one line, with what is invisible taken out."""
    return as_line(value).replace("\N{NO-BREAK SPACE}", " ").replace(JOINER, "").strip(" ")


@pytest.mark.parametrize("template", AROUND)
@example(value="[x](http://evil)")
@example(value="<!here>")
@example(value="# heading")
@example(value="> quote")
@example(value="- item")
@example(value="1. item")
@example(value="1.")
@example(value="===")
@example(value="---")
@example(value=":-")
@example(value="    code")
@example(value="a\nb")
@example(value="&lt;")
@example(value="![x][y]")
@example(value="~~~")
@given(value=HOSTILE)
def test_a_value_changes_nothing_but_the_text(template, value):
    """Wherever it stands, a parser finds the same parts around it as around a plain word."""
    _, parts = shown(parse_template(template, allowed="a").render({"a": "word"}))
    rendered = parse_template(template, allowed="a", form=Form.MARKDOWN).render({"a": value})
    if as_line(value).strip(" "):
        assert shown(rendered)[1] == parts


@given(value=HOSTILE)
def test_a_value_is_shown_as_it_is(value):
    """What a person reads are the characters of the name."""
    seen, _ = shown(f"x{as_text(value)}x")
    assert seen.replace("\N{NO-BREAK SPACE}", " ").replace(JOINER, "") == (
        f"x{as_line(value)}x".replace("\N{NO-BREAK SPACE}", " ").replace(JOINER, "")
    )


@given(value=st.text())
def test_a_value_is_one_line_of_visible_text(value):
    """No break, control or mark of direction of a name comes through; a name that is text is left alone."""
    line = as_line(value)
    bad = {"Cc", "Zl", "Zp", "Cs", "Cn", "Co"}
    assert not any(unicodedata.category(each) in bad for each in line)
    assert "\u202e" not in line
    assert line == value or not value.isprintable()


@given(value=HOSTILE)
def test_nobody_is_mentioned_and_nothing_links_by_itself(value):
    """An address or a name after @ is cut by a character that nobody sees."""
    text = as_text(value).lower()
    assert all(after.startswith(JOINER) for after in text.split("@")[1:])
    assert not any(each in text for each in ("http:/", "https:/", "www.", "mailto:a", "glue:u"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("shift-7 report.v2.pdf", "shift-7 report.v2.pdf"),
        ("1.pdf", "1.pdf"),
        ("R&D.pdf", "R&D.pdf"),
        ("a_b.pdf", r"a\_b.pdf"),
        (r"a\x5cb", r"a\\x5cb"),
        ("@everyone", f"@{JOINER}everyone"),
        ("[x](http://evil)", rf"\[x\]\(http{JOINER}:{JOINER}//evil\)"),
        ("a\nb", r"a\\nb"),
        ("a  b", "a\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}b"),
        ("名前\u3000ü.jpg", "名前\u3000ü.jpg"),
        ("क्\u200dष.pdf", "क्\u200dष.pdf"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", r"\\u202egpj.exe"),
    ],
)
def test_escaped_forms(value, text):
    """Ordinary names stay as they are; this is what others become."""
    assert as_text(value) == text


def test_the_text_of_the_rule_stays_markdown():
    """Only what is put in is escaped."""
    template = parse_template("**{a}** of [here](https://x.example)", allowed="a", form=Form.MARKDOWN)
    assert template.render({"a": "*"}) == r"**\*** of [here](https://x.example)"


def test_a_subject_is_one_line_without_escapes():
    """A subject is no markdown."""
    assert parse_template("{a}", allowed="a", form=Form.LINE).render({"a": "*a*\nb"}) == r"*a*\nb"


def test_ids_are_listed_and_checked():
    """Several ids are one value, and what could be mistaken for several is named."""
    ids = listed(
        [parse_template(text, allowed="ab", form=Form.ID) for text in ("grp_{a}", "usr_1", "{b}{a}")]
    )
    assert (ids.text, ids.names, ids.form) == ("grp_{a}, usr_1, {b}{a}", ("a", "b"), Form.ID)
    assert ids.render({"a": "1", "b": "2"}) == "grp_1, usr_1, 21"
    assert ids.unfit({"a": "1", "b": "2"}) is None
    assert [ids.unfit({"a": "1", "b": bad}) for bad in ("", "2,", "2 3")] == ["b", "b", "b"]
    assert parse_template("{a}", allowed="a").unfit({}) is None


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("# a", r"\# a"),
        ("1. a", r"1\. a"),
        ("12.", r"12\."),
        ("- a", r"\- a"),
        ("1.5 a", "1.5 a"),
        ("a - b", "a - b"),
    ],
)
def test_what_counts_where_a_line_begins_is_escaped_there_alone(value, escaped):
    """One backslash and nothing else is added, and not where the sign means nothing."""
    assert as_text(value) == escaped
