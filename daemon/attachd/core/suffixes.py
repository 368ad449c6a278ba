"""Spells out suffixes that the files of a pattern have: one for each way of writing it. Pure.

They are asked for where a file's name is to be found from another that has only its stem. What is spelled out
may be wrong, and is held against the pattern by whoever asks; what repeats is spelled out at its shortest.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from re import _constants as names  # type: ignore[attr-defined]  # what re's own parser speaks
from re import _parser as parser  # type: ignore[attr-defined]  # nothing else reads what re reads
from typing import Any

from attachd.core.automaton import CHOICES, GROUPS, REPEATS, fits
from attachd.core.parts import Anything, Characters, Literals, Segment, SegmentPart, Typed
from attachd.core.patterns import Pattern

MOST = 64
"""Texts that are spelled out at most, and characters of what repeats in one."""

_CHARACTERS = "x0X-_" + "".join(map(chr, range(0x21, 0x7F)))
"""What is tried where any of a set will do."""


def suffixes(pattern: Pattern) -> tuple[str, ...]:
    """Give suffixes, without dot, that files taken by a pattern may have."""
    last = pattern.segments[-1:]
    if not last:
        texts = _texts(parser.parse(pattern.text))
    elif isinstance(last[0], Segment):
        texts = _joined(_part(part) for part in last[0].parts)
    else:
        texts = []
    return tuple(dict.fromkeys(text.rpartition("/")[2].rpartition(".")[2] for text in texts))


def _joined(parts: Iterator[Sequence[str]]) -> list[str]:
    """Join texts of parts that follow each other; where these are too many, the last parts keep theirs."""
    whole = [""]
    for texts in parts:
        whole = list(islice((head + tail for head in whole for tail in texts), MOST))
    return whole


def _part(part: SegmentPart) -> Sequence[str]:
    match part:
        case Literals():
            return part.choices
        case Anything():
            return ["x" * part.least]
        case Characters():
            return [min(part.allowed)]
        case Typed():
            return _texts(parser.parse(part.regex))
        case _:  # a date
            return ["20260131"]


def _texts(nodes: Any) -> list[str]:
    return _joined(_node(kind, value) for kind, value in nodes)


def _node(kind: Any, value: Any) -> Sequence[str]:
    if kind in REPEATS:
        least, most, nodes = value
        times = [min(least, MOST), min(least + 1, most, MOST)]
        return [(text * each)[:MOST] for each in dict.fromkeys(times) for text in _texts(nodes)]
    if kind in GROUPS:
        return _texts(value[-1] if kind is names.SUBPATTERN else value)
    if kind in CHOICES:
        choices = value[1] if kind is names.BRANCH else value[1:]
        return [text for each in choices for text in _texts(each or ())]
    if kind is names.LITERAL:
        return [chr(value)]
    if kind in {names.IN, names.ANY, names.NOT_LITERAL}:
        return [each for each in _CHARACTERS if fits(kind, value, each)][:1]
    return [""]
