from datetime import UTC, datetime

import pytest

from attachd.core.patterns import compile_pattern
from attachd.core.protocols import Place
from attachd.core.rules import FileFacts, Rule, judge, planned
from attachd.core.templates import BUILT_INS, Form, parse_filename, parse_template
from attachd.model import State

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def send(desk):
    """Judge a file by a rule whose target is a message, write what comes out, and claim it."""

    def make(name, message, **place):
        given = {"message": parse_template(message, allowed=BUILT_INS, form=Form.MARKDOWN)}
        given |= {key: parse_template(text, allowed=BUILT_INS, form=Form.ID) for key, text in place.items()}
        rule = Rule(
            name="reports",
            patterns=(compile_pattern("*", types={}, case_sensitive=False),),
            to="glue",
            target=given,
            filename=parse_filename("{file}", allowed=BUILT_INS),
        )
        facts = FileFacts(
            path=name, folder="/srv/drop", size=7, mtime=DAY, first_seen=DAY, host="h", timezone=UTC
        )
        (delivery_id,) = desk.record(name, *planned(judge([rule], facts)))
        return desk.claim(to="glue")[delivery_id]

    return make


def test_a_message_with_the_files_name_is_sent_for_the_same_bytes_too(desk, send, state):
    """The rendered text is part of the target: another name is another message."""
    first, second = (send(name, "New report {file}", thread="thr_1") for name in ("a_1.pdf", "b.pdf"))
    assert desk.identify(first) is Place.FIRST
    assert desk.move(first, State.DONE)
    assert desk.identify(second) is Place.FIRST
    assert (dict(first.target), state(second.id)) == (
        {"message": r"New report a\_1.pdf", "thread": "thr_1"},
        "active",
    )


def test_a_message_without_the_files_name_is_sent_once_for_the_same_bytes(desk, send, state):
    """The same text at the same place with the same bytes is a duplicate."""
    first, second = (send(name, "New report", thread="thr_1") for name in ("a.pdf", "b.pdf"))
    assert desk.identify(first) is Place.FIRST
    assert desk.move(first, State.DONE)
    assert desk.identify(second) is Place.ATTACHED
    assert state(second.id) == "duplicate"


@pytest.mark.parametrize("other", [{"thread": "thr_2"}, {"thread": "thr_1", "reply_to": "msg_1"}, {}])
def test_the_same_text_elsewhere_is_another_message(desk, send, other):
    """Place and quoted message are part of the target as well."""
    first, second = send("a.pdf", "New report", thread="thr_1"), send("b.pdf", "New report", **other)
    assert desk.identify(first) is Place.FIRST
    assert desk.move(first, State.DONE)
    assert desk.identify(second) is Place.FIRST
