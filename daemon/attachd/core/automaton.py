"""A regular expression as an automaton whose states are its characters (Glushkov's construction). Pure.

It is built from what `re` itself parses, and keeps what is of interest for time: not only whether a step from
one character to another can be made, but whether it can be made in more than one way.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from re import _constants as names  # type: ignore[attr-defined]  # what re's own parser speaks
from re import _parser as parser  # type: ignore[attr-defined]  # nothing else reads what re reads
from re import compile as compile_regex
from typing import Any

MOST_WORK = 300_000
"""Microseconds, more or less, that an expression may cost: one for a step, some for a part of it."""

FEW = 3
"""Repetitions up to which one is taken as written out; more count as endless."""

_SAMPLES = "09aAzZ_-. /\n\u00e9\u0660"
"""Characters that `\\d`, `\\w` and `\\s` tell apart, beside those that an expression names."""

REPEATS = frozenset({names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT})
GROUPS = frozenset({names.SUBPATTERN, names.ATOMIC_GROUP})
CHOICES = frozenset({names.BRANCH, names.GROUPREF_EXISTS})
_LOOKS = frozenset({names.ASSERT, names.ASSERT_NOT})
_NAMING = frozenset({names.LITERAL, names.NOT_LITERAL, names.RANGE})
_CATEGORIES = {
    names.CATEGORY_DIGIT: r"\d",
    names.CATEGORY_NOT_DIGIT: r"\D",
    names.CATEGORY_SPACE: r"\s",
    names.CATEGORY_NOT_SPACE: r"\S",
    names.CATEGORY_WORD: r"\w",
    names.CATEGORY_NOT_WORD: r"\W",
}


class TooLarge(Exception):
    """To judge an expression would take too long: repetitions that are written out multiply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A part of the expression: in how many ways it begins and ends with each state, and is empty."""

    first: Counter[int]
    last: Counter[int]
    empty: int


_NOTHING = _Piece(first=Counter(), last=Counter(), empty=1)


@dataclass(slots=True)
class Automaton:
    """Grows with the expression.

    Attributes:
        flags: those of the whole expression.
        samples: the characters that states are told apart by.
        reads: which of them each state reads.
        steps: in how many ways each state leads to others.
        repeats_nothing: a bounded repetition of something that can be empty: it tries every way to be so.
        work: how much was done so far; it ends at `MOST_WORK`.
    """

    flags: int
    samples: str
    reads: list[frozenset[str]] = field(default_factory=list)
    steps: dict[int, Counter[int]] = field(default_factory=dict)
    repeats_nothing: bool = False
    work: int = 0

    def row(self, nodes: Sequence[tuple[Any, Any]]) -> _Piece:
        """Add nodes that follow each other."""
        whole = _NOTHING
        for kind, value in nodes:
            whole = self._joined(whole, self._node(kind, value))
        return whole

    def _node(self, kind: Any, value: Any) -> _Piece:
        self._spend(20 + len(self.samples) // 4)
        if kind in REPEATS:
            return self._repeated(kind, *value)
        if kind in GROUPS:
            return self.row(value[-1] if kind is names.SUBPATTERN else value)
        if kind in CHOICES:
            choices = value[1] if kind is names.BRANCH else value[1:]
            return _either([self.row(each or ()) for each in choices])
        if kind in _LOOKS:
            self.row(value[1])  # its own loops count; what comes after does not continue it
            return _NOTHING
        if kind in {names.AT, names.GROUPREF}:
            return _NOTHING
        return self._character(kind, value)

    def _character(self, kind: Any, value: Any) -> _Piece:
        state = len(self.reads)
        self.reads.append(_characters(kind, value, self.flags, self.samples))
        self.steps[state] = Counter()
        return _Piece(first=Counter([state]), last=Counter([state]), empty=0)

    def _repeated(self, kind: Any, least: int, most: Any, nodes: Sequence[tuple[Any, Any]]) -> _Piece:
        if kind is names.POSSESSIVE_REPEAT and len(nodes) == 1 and nodes[0][0] not in REPEATS:
            least, most = min(least, 1), 1  # takes all it can and gives nothing back: like one character
        if most <= FEW:  # MAXREPEAT is larger than any number
            return self._written_out(least, int(most), nodes)
        part = self.row(nodes)
        self.repeats_nothing |= part.empty > 0 and most is not names.MAXREPEAT and bool(part.first)
        self._connect(part.last, part.first)
        return _Piece(first=part.first, last=part.last, empty=int(part.empty > 0 or least == 0))

    def _written_out(self, least: int, most: int, nodes: Sequence[tuple[Any, Any]]) -> _Piece:
        whole = _NOTHING
        for number in range(most):
            part = self.row(nodes)
            empty = min(part.empty + (number >= least), 2)
            whole = self._joined(whole, _Piece(first=part.first, last=part.last, empty=empty))
        return whole

    def _joined(self, left: _Piece, right: _Piece) -> _Piece:
        self._connect(left.last, right.first)
        return _Piece(
            first=left.first + _times(right.first, left.empty),
            last=right.last + _times(left.last, right.empty),
            empty=min(left.empty * right.empty, 2),
        )

    def _connect(self, ends: Counter[int], starts: Counter[int]) -> None:
        self._spend(len(ends) * len(starts))
        for end, times in ends.items():
            self.steps[end].update(_times(starts, times))

    def _spend(self, work: int) -> None:
        self.work += work
        if self.work > MOST_WORK:
            raise TooLarge


def build(regex: str, flags: int) -> Automaton:
    """Build the automaton of an expression that `re` compiles.

    Raises:
        TooLarge: it has too many states or steps.
    """
    parsed = parser.parse(regex, flags)
    automaton = Automaton(
        flags=parsed.state.flags, samples="".join(sorted(set(_named(parsed)) | set(_SAMPLES)))
    )
    automaton.row(parsed)
    return automaton


def _times(counts: Counter[int], times: int) -> Counter[int]:
    return Counter({state: min(count * times, 2) for state, count in counts.items() if times})


def _either(pieces: Sequence[_Piece]) -> _Piece:
    return _Piece(
        first=sum((each.first for each in pieces), Counter[int]()),
        last=sum((each.last for each in pieces), Counter[int]()),
        empty=min(sum(each.empty for each in pieces), 2),
    )


def _named(node: Any) -> Iterator[str]:
    """Give every character that an expression names, and its neighbours."""
    if isinstance(node, tuple) and len(node) == 2 and node[0] in _NAMING:
        for code in node[1] if isinstance(node[1], tuple) else (node[1],):
            yield from (chr(each) for each in range(max(code - 1, 0), min(code + 1, 0x10FFFF) + 1))
    elif isinstance(node, tuple | list | parser.SubPattern):
        for each in node:
            yield from _named(each)


def _characters(kind: Any, value: Any, flags: int, samples: str) -> frozenset[str]:
    found = {character for character in samples if fits(kind, value, character)}
    if flags & names.SRE_FLAG_IGNORECASE:
        found |= {each for character in found for each in (character.lower(), character.upper())}
    return frozenset(found)


def fits(kind: Any, value: Any, character: str) -> bool:
    """Say whether one character of an expression, as `re` parses it, reads this one."""
    if kind is names.LITERAL:
        return bool(ord(character) == value)
    if kind is names.NOT_LITERAL:
        return bool(ord(character) != value)
    if kind is names.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    if kind is names.CATEGORY:
        return compile_regex(_CATEGORIES[value]).match(character) is not None
    if kind is names.IN:
        negated = value[0][0] is names.NEGATE
        members = [(which, what) for which, what in value if which is not names.NEGATE]
        return bool(negated != any(fits(which, what, character) for which, what in members))
    return True  # any character, a newline as well (re.DOTALL)
