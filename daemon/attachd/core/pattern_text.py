"""Reads the text of a pattern, as `{station}/{run:int}/**/*.jpg`, into parts; says where it is wrong."""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from string import ascii_letters, digits

from attachd.core.ambiguity import slowness
from attachd.core.parts import (
    AnySegments,
    Anything,
    Characters,
    Date,
    Literals,
    Segment,
    SegmentPart,
    Typed,
    fold,
)
from attachd.core.sentences import NAME, PatternError, brace_fault, did_you_mean
from attachd.core.templates import BUILT_INS

BUILT_IN_TYPES = ("int", "slug", "date")
"""Types that every pattern may use, and that no entry of `types` may be called."""

_LONGEST = 4096  # PATH_MAX of Linux, path_resolution(7): nothing longer could match
_TOKENS = re.compile(
    r"(?P<slash>/)|(?P<stars>\*+)|(?P<one>\?)|(?P<brace>\{\{|\}\})|\{(?P<field>[^{}]*)\}"
    r"|(?P<stray>[{}])|(?P<plain>[^/*?{}]+)"
)


def read_pattern(
    text: str, *, types: Mapping[str, str], case_sensitive: bool
) -> tuple[Segment | AnySegments, ...]:
    """Read a pattern into its segments.

    `{{` and `}}` stand for one brace each, as in templates; a backslash is a plain character.

    Raises:
        PatternError: the text is no pattern, or no path could ever match it.
    """
    if not text:
        raise PatternError("the pattern is empty", hint="write ** for every file")
    if len(text) > _LONGEST:
        raise PatternError(f"the pattern is longer than {_LONGEST} characters")
    if "\0" in text:
        raise PatternError("no path has a NUL character", offset=text.index("\0"))
    reader = _Reader(types=types, case_sensitive=case_sensitive)
    return tuple(reader.segment(tokens) for tokens in _split(text))


def compile_strictly(regex: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a regular expression from rules.yaml; what Python only warns of is refused as well.

    Raises:
        PatternError: it is no regular expression, too large, or a hostile name could keep it busy for hours.
    """
    if len(regex) > _LONGEST:
        raise PatternError(f"the regular expression is longer than {_LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(
                regex, flags | re.DOTALL
            )  # a newline is a character of a name like any other
    except re.error as error:
        raise PatternError(f"not a regular expression: {error.msg}", offset=error.pos or 0) from None
    except (Warning, OverflowError, RecursionError) as error:
        raise PatternError(f"not a usable regular expression: {error}") from None
    slow = slowness(regex, flags | re.DOTALL)
    if slow:
        raise PatternError(
            f"one hostile name could keep this regular expression busy for hours: {slow}",
            hint="write [^/]+ in place of .*, and never repeat what is repeated already",
        )
    return compiled


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    raw: str
    offset: int


def _split(text: str) -> Iterator[list[_Token]]:
    """Give the tokens of each segment; refuse empty segments and braces without a partner."""
    tokens: list[_Token] = []
    for found in _TOKENS.finditer(text):
        token = _Token(str(found.lastgroup), found[0], found.start())
        if token.kind == "stray":
            message, hint = brace_fault(token.raw)
            raise PatternError(message, offset=token.offset, hint=hint)
        if token.kind != "slash":
            tokens.append(token)
            continue
        _require_segment(tokens, token.offset)
        yield tokens
        tokens = []
    _require_segment(tokens, len(text) - 1)
    yield tokens


def _require_segment(tokens: list[_Token], offset: int) -> None:
    if not tokens:
        raise PatternError(
            "a segment is empty",
            offset=offset,
            hint="patterns are relative to the folder: no slash first or last, and never two in a row",
        )
    if "".join(token.raw for token in tokens) in {".", ".."}:
        raise PatternError(
            f"no path has a segment '{tokens[0].raw}'",
            offset=tokens[0].offset,
            hint="patterns are relative to the folder",
        )


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Turns the tokens of one pattern into parts, and remembers which names are taken."""

    types: Mapping[str, str]
    case_sensitive: bool
    names: set[str] = field(default_factory=set)

    def segment(self, tokens: list[_Token]) -> Segment | AnySegments:
        """Read one segment."""
        text = "".join(token.raw for token in tokens)
        if text == "**":
            return AnySegments()
        groups = groupby(tokens, key=lambda token: token.kind in {"plain", "brace"})
        parts = [part for is_plain, group in groups for part in self._parts(list(group), is_plain=is_plain)]
        return Segment(text=text, parts=tuple(parts))

    def _parts(self, tokens: list[_Token], *, is_plain: bool) -> list[SegmentPart]:
        if is_plain:
            return [self._literals([_plain(token) for token in tokens], joined=True)]
        return [self._part(token) for token in tokens]

    def _part(self, token: _Token) -> SegmentPart:
        if token.kind == "one":
            return Anything(least=1, most=1)
        if token.kind == "field":
            return self._field(token.raw[1:-1], token.offset)
        if len(token.raw) > 1:
            raise PatternError(
                f"{token.raw} stands beside something else in its segment",
                offset=token.offset,
                hint="** is a whole segment, as in **/*.jpg; inside a segment write *",
            )
        return Anything(least=0)

    def _field(self, content: str, offset: int) -> SegmentPart:
        head, colon, rest = content.partition(":")
        if "|" in head:
            return self._choice(content, None, offset)
        self._take_name(head, offset)
        if not colon:
            return Anything(least=1, name=head)
        if "|" in rest:
            return self._choice(rest, head, offset)
        return self._typed(head, rest, offset)

    def _choice(self, content: str, name: str | None, offset: int) -> SegmentPart:
        choices = content.split("|")
        if "" in choices:
            raise PatternError(
                f"a choice of {{{content}}} is empty", offset=offset, hint="write a pattern for each case"
            )
        if "/" in content:
            raise PatternError(
                "a choice stays inside one segment, it cannot have a slash",
                offset=offset,
                hint="write a list of patterns",
            )
        return self._literals(choices, name=name)

    def _literals(self, choices: list[str], *, name: str | None = None, joined: bool = False) -> SegmentPart:
        texts = ["".join(choices)] if joined else choices
        folded = texts if self.case_sensitive else [fold(text) for text in texts]
        return Literals(choices=tuple(folded), case_sensitive=self.case_sensitive, name=name)

    def _typed(self, name: str, kind: str, offset: int) -> SegmentPart:
        if kind == "int":
            return Characters(allowed=frozenset(digits), wants="digits", name=name)
        if kind == "slug":
            allowed = frozenset(ascii_letters + digits + "-_")
            return Characters(allowed=allowed, wants="letters, digits, '-' and '_' only", name=name)
        if kind == "date":
            return Date(name=name)
        if kind not in self.types:
            raise PatternError(
                f"{{{name}:{kind}}} names an unknown type",
                offset=offset,
                hint=did_you_mean(kind, [*BUILT_IN_TYPES, *self.types]),
            )
        regex = self.types[kind]
        fits = compile_strictly(regex).fullmatch
        return Typed(fits=fits, regex=regex, wants=f"of the type {kind} ({regex})", name=name)

    def _take_name(self, name: str, offset: int) -> None:
        check_capture(name, offset)
        if name in self.names:
            raise PatternError(
                f"{{{name}}} occurs twice", offset=offset, hint="give the second capture a name of its own"
            )
        self.names.add(name)


def check_capture(name: str, offset: int) -> None:
    """Refuse a name that no capture may bear.

    Raises:
        PatternError: it is no name, or a built-in of templates bears it.
    """
    if not NAME.fullmatch(name):
        raise PatternError(
            f"{{{name}}} is no name for a capture",
            offset=offset,
            hint="a name has letters, digits and _, and no digit first; {a|b} is a choice; {{ is a brace",
        )
    if name in BUILT_INS:
        raise PatternError(
            f"{{{name}}} is the name of a built-in",
            offset=offset,
            hint="give the capture another name; built-ins are " + ", ".join(sorted(BUILT_INS)),
        )


def _plain(token: _Token) -> str:
    return token.raw[0] if token.kind == "brace" else token.raw
