"""What has to be true of a quiet file before it is taken as whole: `complete` of a rule. Pure.

The rule that takes a path decides for it. A marker is a file beside it whose name comes from its own; such a
name is no file of its own, whether its file is there yet or not, so it is found by asking which files a name
could mark and whether the rules take one of them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from attachd.core.patterns import Pattern
from attachd.core.suffixes import suffixes
from attachd.core.templates import Template
from attachd.model import ErrorInfo, ErrorKind

WITHIN = 600.0
"""Seconds for which a file that is not whole is waited for, where `within` does not say."""

MARKER_NAMES = frozenset({"file", "stem", "ext"})
"""What the name of a marker is made of: nothing but the name of its file."""

NAMES_THE_FILE = frozenset({"file", "stem"})
"""A marker has one of these: it marks one file, and goes with it."""

_WORD = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A rule's `complete`.

    Attributes:
        whole: whether end marks of known types are looked for.
        marker: of the name of a sibling that has to exist and not be older; None: none is needed.
        min_size: bytes.
        within: seconds after which a file that is not whole is parked; None: as long as is usual.
    """

    whole: bool = True
    marker: Template | None = None
    min_size: int = 0
    within: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Why a quiet file is not taken as whole.

    Attributes:
        reason: a clause without a full stop.
        hint: what a person can do.
        patience: seconds without a change for which it is waited for.
        accepted: it is taken as it is after that, and parked otherwise.
    """

    reason: str
    hint: str = ""
    patience: float
    accepted: bool = False


class Takes(Protocol):
    """The part of a rule that is asked here."""

    @property
    def name(self) -> str:
        """Tell it from the others."""
        ...

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """Give its patterns."""
        ...

    @property
    def complete(self) -> Complete:
        """Say when a file that it takes is whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one file has to fulfil; `marker` is the path of its marker, relative to the folder."""

    complete: Complete
    marker: str | None


class Demands:
    """What the rules of a folder ask of its files. Any thread may ask; the rules are replaced as a whole."""

    def __init__(self, rules: Sequence[Takes]) -> None:
        self.rules = rules

    @property
    def rules(self) -> Sequence[Takes]:
        """Give the rules in force."""
        return self._rules

    @rules.setter
    def rules(self, rules: Sequence[Takes]) -> None:
        self._rules = tuple(rules)
        self._markers = tuple(_Marker(rule) for rule in rules if rule.complete.marker is not None)

    def of(self, path: str) -> Demand | None:
        """Say what a file has to fulfil, by the first rule that takes it; None where none does."""
        for rule in self._rules:
            if any(pattern.match(path) is not None for pattern in rule.patterns):
                return Demand(complete=rule.complete, marker=_marker(rule.complete, path))
        return None

    def marked_by(self, path: str) -> tuple[str, ...]:
        """Give the files that this path may be the marker of; none: it is a file of its own."""
        if not self._markers:
            return ()
        candidates = (file for marker in self._markers for file in marker.candidates(path))
        found = {file: self.of(file) for file in candidates}
        return tuple(file for file, demand in found.items() if demand and demand.marker == path)

    def is_marker(self, path: str) -> bool:
        """Say whether a path is no file of its own."""
        return bool(self.marked_by(path))


NO_DEMANDS = Demands(())
"""Those of a folder without rules."""


class _Marker:
    """One rule's marker, read backwards: from its name to the files that it may mark."""

    def __init__(self, rule: Takes) -> None:
        self._rule = rule

    @cached_property
    def _name(self) -> re.Pattern[str]:
        template = self._rule.complete.marker
        assert template is not None
        seen: set[str] = set()
        parts = []
        for is_name, part in template.parts:
            if not is_name:
                parts.append(re.escape(part))
            elif part in seen:
                parts.append(f"(?P={part})")
            else:
                seen.add(part)
                parts.append(f"(?P<{part}>.{'*' if part == 'ext' else '+'})")
        return re.compile("".join(parts), re.DOTALL)

    @cached_property
    def _suffixes(self) -> tuple[str, ...]:
        """Give suffixes of the rule's files: words in its patterns' last segments, and what these take.

        In small and in capital letters too: cameras write `.JPG` where the rule has `.jpg`.
        """
        patterns = self._rule.patterns
        words = (word for each in patterns for word in _WORD.findall(each.text.rpartition("/")[2]))
        spelled = (suffix for each in patterns for suffix in suffixes(each))
        found = (*words, *spelled, "x")
        return tuple(dict.fromkeys(case for each in found for case in (each, each.lower(), each.upper())))

    def candidates(self, path: str) -> Iterator[str]:
        directory, slash, name = path.rpartition("/")
        found = self._name.fullmatch(name)
        if found is None:
            return
        values = found.groupdict()
        if "file" in values:
            names = [values["file"]]
        elif "ext" in values:
            names = [f"{values['stem']}.{values['ext']}"]
        else:
            names = [values["stem"], *(f"{values['stem']}.{suffix}" for suffix in self._suffixes)]
        yield from (f"{directory}{slash}{each}" for each in names if each != name)


def _marker(complete: Complete, path: str) -> str | None:
    if complete.marker is None:
        return None
    directory, slash, name = path.rpartition("/")
    stem, _, suffix = name.rpartition(".")
    if not stem.strip("."):
        stem, suffix = name, ""
    marker = complete.marker.render({"file": name, "stem": stem, "ext": suffix})
    return f"{directory}{slash}{marker}"


def not_complete(reason: str, hint: str) -> ErrorInfo:
    """Say why a file is parked; `reason` is a clause without a full stop."""
    return ErrorInfo(
        kind=ErrorKind.NOT_COMPLETE,
        message=f"The file looks unfinished: {reason}. It goes on by itself when it is whole.",
        hint=hint,
    )


def when_too_small(complete: Complete, size: int, patience: float) -> Lack | None:
    """Say that a file has fewer bytes than `min_size`, or None."""
    if size >= complete.min_size:
        return None
    return Lack(
        reason=f"it has {size} bytes, and its rule's `min_size` is {complete.min_size}",
        hint="Let the writer finish, or lower `min_size`.",
        patience=patience,
    )


def when_unmarked(marker: str, marker_mtime_ns: int | None, mtime_ns: int, patience: float) -> Lack | None:
    """Say that a file's marker is missing or older than the file, or None.

    Args:
        marker: its name as people see it.
        marker_mtime_ns: when it was written; None where it is not there.
        mtime_ns: when the file was.
        patience: seconds for which it is waited for.
    """
    if marker_mtime_ns is None:
        reason = f"its marker '{marker}' is not there"
    elif marker_mtime_ns < mtime_ns:
        reason = f"its marker '{marker}' is older than the file"
    else:
        return None
    return Lack(reason=reason, hint=f"Write '{marker}' after the file.", patience=patience)
