"""What a pattern is made of, and the walk that fits a row of parts to a text without backtracking.

Theory of operation. Each part can say from which positions it reaches one of a set of later positions. Asked
from the last part to the first, that gives for each part the set of places where it may end; then one pass
from the left lets each part take as much as it can. Both passes are bounded by parts times length (times
length once more for types), whatever the pattern and however hostile the name. The same walk serves a
segment (a row of characters) and a path (a row of segments).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeVar

_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})")
_DATE_LENGTHS = (len("YYYYMMDD"), len("YYYY-MM-DD"))

Row = TypeVar("Row", str, tuple[str, ...])
Row_contra = TypeVar("Row_contra", contravariant=True)


class Part(Protocol[Row_contra]):
    """One piece of a pattern."""

    def starts(self, whole: Row_contra, ends: set[int]) -> set[int]:
        """Give every position from which this part reaches one of `ends`."""
        ...

    def takes(self, piece: Row_contra) -> bool:
        """Say whether this part fits the piece exactly."""
        ...


def walk(parts: Sequence[Part[Row]], whole: Row) -> list[Row] | None:
    """Share `whole` out among the parts, from left to right each as much as it can; None where that fails."""
    ends = [{len(whole)}]
    for part in reversed(parts[1:]):
        ends.append(part.starts(whole, ends[-1]))
        if not ends[-1]:
            return None
    pieces: list[Row] = []
    start = 0
    for part, possible in zip(parts, reversed(ends), strict=True):
        end = _furthest(part, whole, start, possible)
        if end is None:
            return None
        pieces.append(whole[start:end])
        start = end
    return pieces


def _furthest(part: Part[Row], whole: Row, start: int, ends: set[int]) -> int | None:
    return next((end for end in sorted(ends, reverse=True) if part.takes(whole[start:end])), None)


class SegmentPart(Part[str], Protocol):
    """One piece of a segment's pattern; `name` is the capture's, or None."""

    @property
    def name(self) -> str | None:
        """Give the capture's name."""
        ...

    @property
    def wants(self) -> str:
        """Say in words what the part takes, so that it goes on from "which is not …"."""
        ...


def fold(text: str) -> str:
    """Drop the difference of case, character by character, so that positions stay what they are."""
    if text.isascii():
        return text.lower()
    return "".join(_fold_character(character) for character in text)


def _fold_character(character: str) -> str:
    folded = character.casefold()
    return folded if len(folded) == 1 else character


@dataclass(frozen=True, slots=True, kw_only=True)
class Literals:
    """One of several texts, all of them in folded form unless `case_sensitive`."""

    choices: tuple[str, ...]
    case_sensitive: bool
    name: str | None = None

    @property
    def wants(self) -> str:
        """Name the choices."""
        shown = [f"'{choice}'" for choice in self.choices]
        return shown[0] if len(shown) == 1 else "one of " + ", ".join(shown)

    def starts(self, whole: str, ends: set[int]) -> set[int]:
        """Look for each choice directly before each end."""
        text = self._comparable(whole)
        return {
            end - len(choice)
            for choice in self.choices
            for end in ends
            if end >= len(choice) and text.startswith(choice, end - len(choice))
        }

    def takes(self, piece: str) -> bool:
        """Compare."""
        return self._comparable(piece) in self.choices

    def _comparable(self, text: str) -> str:
        return text if self.case_sensitive else fold(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything:
    """Any characters, at least `least` and at most `most` (None: no limit): `*`, `?` and `{name}`."""

    least: int
    most: int | None = None
    name: str | None = None
    wants = "any text"

    def starts(self, whole: str, ends: set[int]) -> set[int]:  # noqa: ARG002 - any characters will do
        """Count backwards from the ends."""
        if self.most is None:
            return set(range(max(ends) - self.least + 1))
        return {end - self.most for end in ends if end >= self.most}

    def takes(self, piece: str) -> bool:
        """Compare lengths."""
        return self.least <= len(piece) and (self.most is None or len(piece) <= self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Characters:
    """One or more of certain ASCII characters: `{name:int}` and `{name:slug}`."""

    allowed: frozenset[str]
    wants: str
    name: str | None = None

    def starts(self, whole: str, ends: set[int]) -> set[int]:
        """Run backwards from the ends as long as the characters are allowed."""
        found: set[int] = set()
        for position in range(len(whole) - 1, -1, -1):
            if whole[position] in self.allowed and (position + 1 in ends or position + 1 in found):
                found.add(position)
        return found

    def takes(self, piece: str) -> bool:
        """Look at every character."""
        return piece != "" and self.allowed.issuperset(piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class Date:
    """A day of the calendar, as YYYY-MM-DD or YYYYMMDD: `{name:date}`."""

    name: str | None = None
    wants = "a date like 2026-01-31 or 20260131"

    def starts(self, whole: str, ends: set[int]) -> set[int]:
        """Look at the two possible lengths before each end."""
        return {
            end - length
            for end in ends
            for length in _DATE_LENGTHS
            if end >= length and self.takes(whole[end - length : end])
        }

    def takes(self, piece: str) -> bool:
        """Look at the form, then at the calendar: the 30th of February is no date."""
        found = _DATE.fullmatch(piece)
        if found is None:
            return False
        try:
            date(int(found[1]), int(found[3]), int(found[4]))
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What a regular expression of `types` matches in full, one or more characters: `{name:TYPE}`.

    The expression sees only the piece, so groups and references of its own disturb nothing around it, and
    it can never take a `/`.
    """

    fits: Callable[[str], object]
    regex: str
    wants: str
    name: str | None = None

    def starts(self, whole: str, ends: set[int]) -> set[int]:
        """Try every piece that stops at one of the ends."""
        return {
            start
            for start in range(len(whole))
            if any(end > start and self.fits(whole[start:end]) for end in ends)
        }

    def takes(self, piece: str) -> bool:
        """Ask the expression."""
        return piece != "" and bool(self.fits(piece))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The pattern of one segment; `text` is as written."""

    text: str
    parts: tuple[SegmentPart, ...]

    def captures(self, segment: str) -> dict[str, str] | None:
        """Give what the named parts take of a segment, or None if it does not fit."""
        pieces = walk(self.parts, segment)
        if pieces is None:
            return None
        return {
            part.name: piece for part, piece in zip(self.parts, pieces, strict=True) if part.name is not None
        }

    def starts(self, whole: tuple[str, ...], ends: set[int]) -> set[int]:
        """Look at the one segment before each end."""
        return {end - 1 for end in ends if end > 0 and walk(self.parts, whole[end - 1]) is not None}

    def takes(self, piece: tuple[str, ...]) -> bool:
        """Say whether the piece is one segment that fits."""
        return len(piece) == 1 and walk(self.parts, piece[0]) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnySegments:
    """Any number of whole segments, also none: `**`."""

    text = "**"

    def starts(self, whole: tuple[str, ...], ends: set[int]) -> set[int]:  # noqa: ARG002 - any will do
        """Reach the last end from everywhere before it."""
        return set(range(max(ends) + 1))

    def takes(self, piece: tuple[str, ...]) -> bool:  # noqa: ARG002 - any will do
        """Take it all."""
        return True
