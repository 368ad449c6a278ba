import base64
import hashlib
import html
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from attachd.errors import LedgerError
from attachd.page.front import LAST, POLICY, ago, front
from attachd.printable import hide

HOSTILE = (
    "<script>alert(1)</script>.jpg",
    '"onmouseover="alert(1)".jpg',
    "{{ 7 * 7 }}.jpg",
    "{% raw %}.jpg",
    "</li></ul><img src=x>.jpg",
    "mirror\u202egpj.exe",
    "bytes\udcff.jpg",
    "new\nline.jpg",
    "&lt;b&gt;.jpg",
)


class Tags(HTMLParser):
    """Collects every element with its attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def test_names_are_text_and_nothing_else(values):
    """Whatever a file, folder or target is called, the page has the same elements as with plain names."""
    plain, hostile = values.source(), values.source()
    plain.entries = tuple(values.entry(f"{number}.jpg") for number in range(len(HOSTILE)))
    hostile.entries = tuple(values.entry(name, folder=f"/srv/{name}", target={"a": name}) for name in HOSTILE)
    wanted, found = parsed(front(plain)[0]), parsed(front(hostile)[0])
    assert found.found == wanted.found
    assert "<script>alert(1)</script>.jpg" in found.text
    assert "{{ 7 * 7 }}.jpg" in found.text
    assert "&lt;b&gt;.jpg" in found.text
    assert r"bytes\xff.jpg" in found.text


def test_nothing_hides_or_reorders_a_name(values):
    """Marks that turn text around stand as their codes, so that no name looks like another one."""
    source = values.source()
    source.entries = (values.entry("mirror\u202egpj.exe"), values.entry("new\nline.jpg"))
    page, _ = front(source)
    assert "\u202e" not in page
    assert r"mirror\u202egpj.exe" in page
    assert r"new\x0aline.jpg" in page


def test_no_secret_gets_onto_the_page(values):
    """What an error repeats of a token is blotted out."""
    hide("token-of-the-page-test")
    page, _ = front(values.source(healthy=False, detail="it said token-of-the-page-test"))
    source = values.source()
    source.inside = source.inside.__class__(
        **{
            **{name: getattr(source.inside, name) for name in ("facts", "folders", "broken", "measured")},
            "ledger_trouble": "saw token-of-the-page-test",
        }
    )
    page += front(source)[0]
    assert "token-of-the-page-test" not in page
    assert "saw ***" in page


def test_the_page_loads_nothing_and_does_nothing(values):
    """No script, no link, no form, no picture; its one style is the one that the policy names by hash."""
    source = values.source()
    source.entries = (values.entry("1.jpg"),)
    page, _ = front(source)
    tags = parsed(page)
    assert {tag for tag, _ in tags.found}.isdisjoint(
        {"script", "a", "form", "img", "link", "iframe", "button"}
    )
    assert not any(name.startswith("on") or name == "style" for _, held in tags.found for name in held)
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(html.unescape(style).encode()).digest()).decode()
    assert f"'sha256-{digest}'" in POLICY
    assert "url(" not in style
    assert any(held.get("http-equiv") == "refresh" for _, held in tags.found)
    assert any(held.get("name") == "viewport" for _, held in tags.found)


def test_it_shows_what_needs_a_person(values):
    """Path, state, error and hint of each, and that there are more of them."""
    source = values.source()
    source.entries = tuple(values.entry(f"{number}.jpg", id=number) for number in range(1, LAST + 5))
    page, well = front(source)
    text = parsed(page).text
    assert well
    assert "ION says no" in text
    assert "look there" in text
    assert "#1" in text
    assert f"{LAST}.jpg" in text
    assert f"{LAST + 1}.jpg" not in text
    assert "These are the last ones" in text


def test_what_is_wrong_stands_at_the_top(values):
    """A part that died and a ledger that cannot be written are said before everything else."""
    source = values.source()
    source.inside = type(source.inside)(
        facts=source.inside.facts,
        folders=source.inside.folders,
        broken=("intake has died: OSError",),
        ledger_trouble="no space is left",
        measured=source.inside.measured,
    )
    page, _ = front(source)
    assert "intake has died: OSError; no space is left" in parsed(page).text


def test_a_ledger_that_cannot_be_read_is_said(values):
    """The page stands, says why it is empty, and does not claim to be well."""
    source = values.source()
    source.fault = LedgerError("the ledger cannot be read", hint="is its disk there?")
    page, well = front(source)
    assert not well
    assert "the ledger cannot be read; is its disk there?" in parsed(page).text


@pytest.mark.parametrize(
    ("back", "words"),
    [
        (timedelta(), "just now"),
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=1), "1 second ago"),
        (timedelta(seconds=59), "59 seconds ago"),
        (timedelta(minutes=3), "3 minutes ago"),
        (timedelta(hours=1, minutes=59), "1 hour ago"),
        (timedelta(days=40), "40 days ago"),
    ],
)
def test_ages_are_said_in_their_largest_unit(back, words):
    """A glance is enough."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert ago(now - back, now) == words
    assert ago((now - back).isoformat(), now) == words


def test_what_never_was_has_no_age():
    """Before the first scan there is a dash."""
    assert ago(None, datetime(2026, 11, 22, tzinfo=UTC)) == "-"
