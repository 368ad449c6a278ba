import pytest

from attachd.destinations.entities import KEPT_FOR, EntityIds
from attachd.destinations.ion import Ion
from attachd.destinations.redaction import LONGEST, quoted, redact, secrets_in
from attachd.destinations.registry import KINDS, build
from attachd.destinations.signin import FixedSecret, GivenToken
from attachd.errors import UserError


def test_the_entity_used_longest_ago_goes_first(clock):
    """The memory of entity ids is bounded, and what is used stays."""
    ids = EntityIds(clock.monotonic, at_most=2)
    ids.keep(("run", "1"), "a")
    ids.keep(("run", "2"), "b")
    assert ids.get(("run", "1")) == "a"
    ids.keep(("run", "3"), "c")
    assert [ids.get(("run", number)) for number in "123"] == ["a", None, "c"]


def test_entities_are_believed_for_a_while(clock):
    """An entity id is asked for again once its time is over, or once it is forgotten."""
    ids = EntityIds(clock.monotonic)
    ids.keep(("run", "1"), "a")
    clock.seconds += KEPT_FOR - 1
    assert ids.get(("run", "1")) == "a"
    clock.seconds += 1
    assert ids.get(("run", "1")) is None
    ids.keep(("run", "1"), "a")
    ids.forget(("run", "1"))
    ids.forget(("run", "1"))
    assert ids.get(("run", "1")) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://h/p?X-Amz-Signature=abc failed", "GET https://h/p?*** failed"),
        ("see https://h/p#frag and http://h2/q?a=b", "see https://h/p?*** and http://h2/q?***"),
        ("X-Amz-Signature=abc&X-Amz-Date=1", "X-Amz-Signature=***&X-Amz-Date=***"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("jwt eyJhbGciOi.eyJzdWIi.c2ln", "jwt ***"),
        ("the given my-secret here", "the given *** here"),
        ("nothing to hide? no.", "nothing to hide? no."),
    ],
)
def test_redaction(text, shown):
    """Queries of URLs, signing parameters, tokens and given secrets are taken out, the rest stays."""
    assert redact(text, "my-secret", "is") == shown


def test_foreign_text_fits_on_a_line():
    """Foreign text is one line without control characters, and of bounded length."""
    assert quoted("a\nb\x1b[31m\u202ec") == "a b?[31m?c"
    assert len(quoted("x" * 10_000_000)) == LONGEST


def test_secrets_of_a_signed_url():
    """The query as a whole and its long values must not be seen; short values are no secrets."""
    assert secrets_in("https://h/k?a=b&s=0123456789abcdef0") == (
        "a=b&s=0123456789abcdef0",
        "0123456789abcdef0",
    )


def test_destinations_are_built_by_kind(settings, clock, upload, server):
    """The kind in the settings decides what is built."""
    destination = build(settings(), GivenToken(FixedSecret("a-token")), clock)
    try:
        assert isinstance(destination, Ion)
        assert destination.name == "ion"
        assert destination.final_calls({}) == ("register",)
        assert destination.open(upload()).facts["entity_id"] == "9042"
    finally:
        destination.close()


def test_unknown_kinds_are_told(settings, clock):
    """A kind that does not exist is told together with those that do."""
    with pytest.raises(UserError, match="no kind 'nonsense'") as caught:
        build(settings(kind="nonsense"), GivenToken(FixedSecret("")), clock)
    assert all(kind in caught.value.hint for kind in KINDS)
