import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachd.core.paths import escape, unescape


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        (b"plain.txt", "plain.txt"),
        ("Prüfstand/é.jpg".encode(), "Prüfstand/é.jpg"),
        (b"caf\xe9.txt", r"caf\xe9.txt"),
        (b"a\\b", r"a\x5cb"),
        (rb"a\xe9", r"a\x5cxe9"),
        (b"new\nline", "new\nline"),
        ("\U0001f600".encode(), "\U0001f600"),
    ],
)
def test_the_escaped_form_of_a_name(raw, escaped):
    """Bytes that are not UTF-8, and backslashes, are spelt out; everything else stays."""
    path = os.fsdecode(raw)
    assert escape(path) == escaped
    assert unescape(escaped) == path


@given(st.binary().filter(lambda raw: b"\0" not in raw))
def test_escaping_loses_nothing(raw):
    """Every name a Linux file can have comes back byte for byte, and its escaped form is sound text."""
    path = os.fsdecode(raw)
    escaped = escape(path)
    assert os.fsencode(unescape(escaped)) == raw
    assert json.loads(json.dumps(escaped)).encode("utf-8").decode("utf-8") == escaped


@given(st.binary(), st.binary())
def test_different_names_have_different_escaped_forms(left, right):
    """Two names never share an escaped form."""
    assert (escape(os.fsdecode(left)) == escape(os.fsdecode(right))) is (left == right)
