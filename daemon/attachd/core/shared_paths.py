"""A path that two patterns share, for people to see: the shortest text that both can spell. Pure.

It is looked for breadth first, segment by segment, and tried on the patterns themselves. Patterns with types,
whose regular expressions do not say what they take, and a `regex` are passed over.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import product
from string import ascii_lowercase

from attachd.core.covering import Path, Token, spelled
from attachd.core.parts import AnySegments, Anything, Characters, Date, Segment, Typed
from attachd.core.patterns import Pattern

_DAYS = ("2026-01-31", "20260131")

_Step = tuple[frozenset[str] | None, bool]
"""Which characters may come (None: any), and whether any number of them may, also none."""


def shared_path(one: Pattern, other: Pattern) -> str | None:
    """Give a short path that both patterns take, or None where none was found."""
    if not one.segments or not other.segments:
        return None
    found = _meet(one.segments, other.segments)
    path = None if found is None else "/".join(found or ["x"])
    return path if path and one.match(path) is not None and other.match(path) is not None else None


def _meet(one: Path, other: Path) -> list[str] | None:
    if not one or not other:
        return [] if all(isinstance(each, AnySegments) for each in (*one, *other)) else None
    if isinstance(other[0], AnySegments) and not isinstance(one[0], AnySegments):
        one, other = other, one
    if isinstance(one[0], AnySegments):
        found = _meet(one[1:], other)
        return found if found is not None else _before(other[0], _meet(one, other[1:]))
    assert isinstance(other[0], Segment)
    shared = _shared_text(one[0], other[0])
    return _joined(shared, _meet(one[1:], other[1:])) if shared is not None else None


def _before(head: Segment | AnySegments, rest: list[str] | None) -> list[str] | None:
    return rest if isinstance(head, AnySegments) else _joined(_shared_text(head, head), rest)


def _joined(text: str | None, rest: list[str] | None) -> list[str] | None:
    return None if text is None or rest is None else [text, *rest]


def _shared_text(one: Segment, other: Segment) -> str | None:
    for filled in (True, False):  # `x.jpg` says more than `.jpg` where `*.jpg` is meant
        spellings = product(_steps_of(one, filled=filled), _steps_of(other, filled=filled))
        texts = [text for left, right in spellings if (text := _shortest(left, right))]
        if texts:
            return min(texts, key=len)
    return None


def _steps_of(segment: Segment, *, filled: bool) -> Iterator[list[_Step]]:
    for tokens in spelled(segment):
        if any(isinstance(token, Typed) for token in tokens):
            continue  # a regular expression does not say what it takes
        for day in _DAYS if any(isinstance(token, Date) for token in tokens) else _DAYS[:1]:
            yield [step for token in tokens for step in _steps(token, day, filled=filled)]


def _steps(token: Token, day: str, *, filled: bool) -> list[_Step]:
    if isinstance(token, str):
        return [(frozenset({token}), False)]
    if isinstance(token, Date):
        return [(frozenset({character}), False) for character in day]
    if isinstance(token, Characters):
        return [(token.allowed, False), (token.allowed, True)]
    assert isinstance(token, Anything)
    steps: list[_Step] = [(None, False)] * max(token.least, int(filled))
    return [*steps, (None, True)] if token.most is None else steps


def _shortest(one: Sequence[_Step], other: Sequence[_Step]) -> str | None:
    """Look breadth first for the shortest text that both rows of steps spell."""
    waiting, seen = deque([(0, 0, "")]), {(0, 0)}
    while waiting:
        left, right, text = waiting.popleft()
        if left == len(one) and right == len(other):
            return text
        for place in _next(one, other, left, right, text):
            if place[:2] not in seen:
                seen.add(place[:2])
                # A step that is left out costs nothing, so it goes first.
                (waiting.appendleft if place[2] == text else waiting.append)(place)
    return None


def _next(
    one: Sequence[_Step], other: Sequence[_Step], left: int, right: int, text: str
) -> Iterator[tuple[int, int, str]]:
    if left < len(one) and one[left][1]:
        yield left + 1, right, text
    if right < len(other) and other[right][1]:
        yield left, right + 1, text
    if left < len(one) and right < len(other):
        character = _common(one[left][0], other[right][0])
        if character:
            yield left + (not one[left][1]), right + (not other[right][1]), text + character


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> str:
    anything = frozenset(ascii_lowercase)
    both = (one or anything) if other is None else other if one is None else one & other
    return min(both, key=lambda each: (each not in "x1", not each.isalnum(), each), default="")
