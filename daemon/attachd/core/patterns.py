"""Patterns and regexes of rules: compile them, match whole relative paths, and say in words why one does not.

Paths are in `os.fsdecode` form. How patterns match is told in `core.parts`, how they are written in
`core.pattern_text`. A `regex` is Python's own, which backtracks: the worst are refused (`core.ambiguity`),
and none is tried on a path of more than `LONGEST_FOR_REGEX` characters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from attachd.core.mismatch import why_not
from attachd.core.parts import AnySegments, Anything, Characters, Literals, Segment, SegmentPart, walk
from attachd.core.pattern_text import BUILT_IN_TYPES, check_capture, compile_strictly, read_pattern
from attachd.core.sentences import NAME, PatternError

__all__ = ["Pattern", "PatternError", "check_type", "compile_pattern", "compile_regex"]

LONGEST_FOR_REGEX = 1024
"""Characters of a path that a `regex` is tried on: its time may grow with the third power of them."""

_PATHS_TO_TRY = ("/", "a/b", "A/B", "1/2", "AB/1234", "a-1/b_2.c")
_NEGATED_CLASS = re.compile(r"\[\^\]?(?:\\.|[^\]\\])*\]")


class Matcher(Protocol):
    """What the text of a pattern or regex was compiled to."""

    def match(self, path: str) -> dict[str, str] | None:
        """Give the captures of a whole relative path, or None."""
        ...

    def mismatch(self, path: str) -> str:
        """Say why the path does not match."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A compiled pattern or regex.

    Attributes:
        text: as it stands in rules.yaml.
        names: the captures, from left to right.
        warnings: what `check` should say of it, as clauses without a full stop.
        matcher: does the work.
        segments: what a pattern is made of; nothing for a regex.
    """

    text: str
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    matcher: Matcher = field(repr=False, compare=False)
    segments: tuple[Segment | AnySegments, ...] = field(default=(), repr=False, compare=False)

    def match(self, path: str) -> dict[str, str] | None:
        """Give the captures if the whole relative path matches, else None."""
        return self.matcher.match(path)

    def mismatch(self, path: str) -> str:
        """Say why a path does not match, as one clause without a full stop."""
        return self.matcher.mismatch(path)


def compile_pattern(text: str, *, types: Mapping[str, str], case_sensitive: bool) -> Pattern:
    """Compile a pattern.

    Literals and choices differ by case only where `case_sensitive`; types keep the case they were written
    in, unless they say `(?i)`. Where two `**`, or two open captures of one segment, could share a path in
    several ways, the left one takes as much as it can.

    Raises:
        PatternError: the text is no pattern.
    """
    segments = read_pattern(text, types=types, case_sensitive=case_sensitive)
    named = [part.name for each in segments if isinstance(each, Segment) for part in each.parts]
    return Pattern(
        text=text,
        names=tuple(name for name in named if name is not None),
        warnings=tuple(_warnings(text, segments)),
        matcher=_PathMatcher(segments),
        segments=segments,
    )


def compile_regex(text: str, *, case_sensitive: bool) -> Pattern:
    """Compile a `regex`: Python's, with named groups, matched against the whole path (`.` takes `/` too).

    Raises:
        PatternError: it is no regular expression, or a group bears a name that no capture may bear.
    """
    regex = compile_strictly(text, 0 if case_sensitive else re.IGNORECASE)
    for name in regex.groupindex:
        check_capture(name, text.find(f"(?P<{name}>"))
    return Pattern(text=text, names=tuple(regex.groupindex), matcher=_RegexMatcher(regex))


def check_type(name: str, regex: str) -> None:
    """Refuse an entry of `types` that patterns could not use.

    A type is tried on pieces of one segment only, so it never takes a `/`; one that would like to is refused
    all the same, because its author expects something else.

    Raises:
        PatternError: the name is taken or no name, or the expression is none or may match a `/`.
    """
    if not NAME.fullmatch(name):
        raise PatternError(
            f"'{name}' is no name for a type", hint="a name has letters, digits and _, and no digit first"
        )
    if name in BUILT_IN_TYPES:
        raise PatternError(f"'{name}' is a built-in type", hint="give yours another name")
    compiled = compile_strictly(regex)
    slash = _NEGATED_CLASS.sub(lambda found: "x" * len(found[0]), regex).find("/")
    if slash >= 0 or any(compiled.fullmatch(path) for path in _PATHS_TO_TRY):
        raise PatternError(
            f"the type {name} may match a slash",
            offset=max(slash, 0),
            hint="a type stays inside one segment: write [^/] in place of . and \\S",
        )


@dataclass(frozen=True, slots=True)
class _PathMatcher:
    segments: tuple[Segment | AnySegments, ...]

    def match(self, path: str) -> dict[str, str] | None:
        pieces = walk(self.segments, tuple(path.split("/")))
        if pieces is None:
            return None
        captures: dict[str, str] = {}
        for segment, piece in zip(self.segments, pieces, strict=True):
            if isinstance(segment, Segment):
                captures.update(segment.captures(piece[0]) or {})
        return captures

    def mismatch(self, path: str) -> str:
        return why_not(self.segments, tuple(path.split("/")))


@dataclass(frozen=True, slots=True)
class _RegexMatcher:
    regex: re.Pattern[str]

    def match(self, path: str) -> dict[str, str] | None:
        found = self.regex.fullmatch(path) if len(path) <= LONGEST_FOR_REGEX else None
        if found is None:
            return None
        return {name: text for name, text in found.groupdict().items() if text is not None}

    def mismatch(self, path: str) -> str:
        if len(path) > LONGEST_FOR_REGEX:
            return (
                f"the path has more than {LONGEST_FOR_REGEX} characters, and no regex is tried on such a one"
            )
        return "the regex does not match the whole path"


def _warnings(text: str, pattern: Sequence[Segment | AnySegments]) -> Iterator[str]:
    if "\\" in text:
        yield "a backslash is a plain character here; segments are parted by /"
    wild = [at for at, each in enumerate(pattern) if isinstance(each, AnySegments)]
    segments = [each for each in pattern if isinstance(each, Segment)]
    between = pattern[wild[0] : wild[-1]] if wild else ()
    if any(part.name is not None for each in between if isinstance(each, Segment) for part in each.parts):
        yield "a capture stands between two **: the left ** takes as many segments as it can"
    if any(_has_wildcard(part) for segment in segments for part in segment.parts):
        yield "* and ? are plain characters in a choice; for wildcards write a list of patterns"
    for segment in segments:
        yield from _ambiguities(segment)


def _has_wildcard(part: SegmentPart) -> bool:
    return isinstance(part, Literals) and any(set(choice) & set("*?") for choice in part.choices)


def _ambiguities(segment: Segment) -> Iterator[str]:
    """Warn of open captures in one segment that nothing keeps apart."""
    open_at = [at for at, part in enumerate(segment.parts) if part.name is not None and _is_open(part)]
    for left, right in pairwise(open_at):
        if not _kept_apart(segment.parts[left : right + 1]):
            names = f"{{{segment.parts[left].name}}} and {{{segment.parts[right].name}}}"
            yield f"{names} stand in one segment: the left one takes as much as it can"


def _is_open(part: SegmentPart) -> bool:
    return isinstance(part, Anything | Characters)


def _kept_apart(parts: tuple[SegmentPart, ...]) -> bool:
    """Say whether some literal between the first and the last part is one that either cannot take."""
    alphabets = [part.allowed for part in (parts[0], parts[-1]) if isinstance(part, Characters)]
    return any(
        isinstance(part, Literals) and all(not alphabet.issuperset(choice) for choice in part.choices)
        for part in parts[1:-1]
        for alphabet in alphabets
    )
