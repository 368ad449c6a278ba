"""Says in words why a path does not fit a pattern: the first segment that is wrong, and in what."""

from collections.abc import Sequence
from dataclasses import replace

from attachd.core.parts import AnySegments, Literals, Segment, SegmentPart, fold
from attachd.core.sentences import quoted


def why_not(pattern: Sequence[Segment | AnySegments], path: tuple[str, ...]) -> str:
    """Give the reason why `path`, which does not match, does not; as one clause without a full stop."""
    return _wrong_length(pattern, path) or _wrong_segment(pattern, path) or _nothing_between(pattern)


def _wrong_length(pattern: Sequence[Segment | AnySegments], path: tuple[str, ...]) -> str | None:
    needed = sum(isinstance(each, Segment) for each in pattern)
    at_least = "at least " if needed < len(pattern) else ""
    if len(path) < needed or (not at_least and len(path) > needed):
        has = "1 segment" if len(path) == 1 else f"{len(path)} segments"
        return f"the path has {has}, the pattern needs {at_least}{needed}"
    return None


def _wrong_segment(pattern: Sequence[Segment | AnySegments], path: tuple[str, ...]) -> str | None:
    for segment, at in _fixed(pattern, len(path)):
        if segment.captures(path[at]) is None:
            return _why_segment(segment, path[at], at + 1)
    return None


def _fixed(pattern: Sequence[Segment | AnySegments], length: int) -> list[tuple[Segment, int]]:
    """Give the segments before the first `**`, and from the end those after the last, with their places."""
    gaps = [at for at, each in enumerate(pattern) if isinstance(each, AnySegments)] or [len(pattern)]
    segments = [(each, at) for at, each in enumerate(pattern) if isinstance(each, Segment)]
    head = [(each, at) for each, at in segments if at < gaps[0]]
    tail = [(each, at + length - len(pattern)) for each, at in segments if at > gaps[-1]]
    return head + tail[::-1]


def _nothing_between(pattern: Sequence[Segment | AnySegments]) -> str:
    shown = "/".join(each.text for each in pattern)
    return f"no way of filling the ** of {quoted(shown)} fits"


def _why_segment(segment: Segment, name: str, number: int) -> str:
    extension = _wrong_extension(segment.parts, name)
    if extension is not None:
        return extension
    shown = f"segment {number} is {quoted(name)}"
    if len(segment.parts) > 1:
        return f"{shown}, which does not fit {quoted(segment.text)}"
    return f"{shown}, which is not {segment.parts[0].wants}{_case_note(segment.parts[0], name)}"


def _case_note(part: SegmentPart, text: str) -> str:
    if isinstance(part, Literals) and part.case_sensitive and fold(text) in map(fold, part.choices):
        return " (upper and lower case count here)"
    return ""


def _wrong_extension(parts: tuple[SegmentPart, ...], name: str) -> str | None:
    """Tell of the extension where the pattern ends in one: `*.pdf`, `*.{jpg|png}`; None where it is right."""
    wanted = _extensions(parts)
    if wanted is None:
        return None
    _, dot, extension = name.rpartition(".")
    if not dot:
        return f"{quoted(name)} has no extension, and the pattern wants {' or '.join(wanted.choices)}"
    if wanted.takes(extension):
        return None
    is_not = "is not" if len(wanted.choices) == 1 else "is none of"
    note = _case_note(wanted, extension)
    return f"the extension {quoted(extension)} {is_not} {', '.join(wanted.choices)}{note}"


def _extensions(parts: tuple[SegmentPart, ...]) -> Literals | None:
    """Give the extensions that a segment's pattern ends in, if it ends in some."""
    last = parts[-1]
    if len(parts) < 2 or not isinstance(last, Literals):
        return None
    _, dot, extension = last.choices[0].rpartition(".")
    if len(last.choices) == 1 and dot and extension:
        return replace(last, choices=(extension,))
    dotted = isinstance(parts[-2], Literals) and all(text.endswith(".") for text in parts[-2].choices)
    return last if dotted and not any("." in text for text in last.choices) else None
