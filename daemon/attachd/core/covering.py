"""Whether a pattern takes every path of another: the two are compared piece by piece. Pure.

What cannot be decided so counts as no, so that nothing is said that is not true; a `regex` takes all of
another only where both are the same.
"""

from collections.abc import Sequence
from string import digits

from attachd.core.parts import AnySegments, Anything, Characters, Date, Literals, Segment, SegmentPart, Typed
from attachd.core.patterns import Pattern

MOST_CHOICES = 64
"""Ways to spell a segment that are tried; one with more is not compared."""

_LENGTHS: dict[type, tuple[int, int | None]] = {Characters: (1, None), Date: (8, 10), Typed: (1, None)}

Token = str | SegmentPart
"""One character, or a part that is not a literal."""

Path = Sequence[Segment | AnySegments]
"""What a pattern is made of."""


def takes_all(one: Pattern, other: Pattern) -> bool:
    """Say whether `one` surely takes every path that `other` takes."""
    if not one.segments or not other.segments:
        return one.text == other.text and not one.segments and not other.segments
    return _covers(one.segments, other.segments)


def _covers(wide: Path, narrow: Path) -> bool:
    if not wide:
        return not narrow
    head, rest = wide[0], wide[1:]
    if isinstance(head, AnySegments):
        return _covers(rest, narrow) or (bool(narrow) and _covers(wide, narrow[1:]))
    if not narrow or isinstance(narrow[0], AnySegments):
        return False
    return _covers_segment(head, narrow[0]) and _covers(rest, narrow[1:])


def _covers_segment(wide: Segment, narrow: Segment) -> bool:
    ways = spelled(narrow)
    return bool(ways) and all(_absorb(wide.parts, tokens) for tokens in ways)


def spelled(segment: Segment) -> list[tuple[Token, ...]]:
    """Spell a segment's literals out, once for each way of choosing; nothing where these are too many."""
    ways: list[tuple[Token, ...]] = [()]
    for part in segment.parts:
        choices: list[tuple[Token, ...]] = (
            [tuple(choice) for choice in part.choices] if isinstance(part, Literals) else [(part,)]
        )
        ways = [(*way, *choice) for way in ways for choice in choices]
        if len(ways) > MOST_CHOICES:
            return []
    return ways


def _absorb(parts: Sequence[SegmentPart], tokens: tuple[Token, ...]) -> bool:
    """Say whether the parts, each as a whole run of tokens, take every text that the tokens spell."""
    reached = {0}
    for part in parts:
        reached = {
            end
            for start in reached
            for end in range(start, len(tokens) + 1)
            if _takes_run(part, tokens[start:end])
        }
    return len(tokens) in reached


def _takes_run(part: SegmentPart, run: tuple[Token, ...]) -> bool:
    text = "".join(token for token in run if isinstance(token, str))
    is_text = len(text) == len(run) and bool(run)
    match part:
        case Literals():
            return is_text and text in part.choices
        case Anything():
            return _fits_length(part, run)
        case Characters():
            return bool(run) and all(part.allowed.issuperset(_alphabet(token)) for token in run)
        case _:
            alike = (
                len(run) == 1 and type(run[0]) is type(part) and getattr(run[0], "wants", "") == part.wants
            )
            return alike or (is_text and text.lower() == text.upper() and part.takes(text))


def _fits_length(part: Anything, run: tuple[Token, ...]) -> bool:
    lengths = [_length(token) for token in run]
    longest = [most for _, most in lengths]
    if sum(least for least, _ in lengths) < part.least:
        return False
    return part.most is None or (None not in longest and sum(each or 0 for each in longest) <= part.most)


def _length(token: Token) -> tuple[int, int | None]:
    if isinstance(token, str):
        return 1, 1
    if isinstance(token, Anything):
        return token.least, token.most
    return _LENGTHS.get(type(token), (0, None))


def _alphabet(token: Token) -> frozenset[str]:
    """Give the characters that a token may spell, in either case; one that no set has where that is open."""
    if isinstance(token, str):
        return frozenset({token.lower(), token.upper()})
    if isinstance(token, Characters):
        return token.allowed
    return frozenset(f"{digits}-") if isinstance(token, Date) else frozenset({"/"})
