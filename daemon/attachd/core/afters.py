"""What becomes of a file once it is attached: `after` of rules.yaml, as values and pure decisions.

Where a file is moved to is rendered when the file settles, while its captures are known; only `{sha256}` is
left open, because nobody has read the bytes yet. Unlike `target` and `filename`, a path on disk is rendered
from the names as they are, not from their escaped form: a moved file keeps its name to the byte.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from attachd.core.paths import escape
from attachd.core.sentences import quoted
from attachd.core.templates import AFTER_HASH, Template, parse_template
from attachd.model import Signs

_OPEN = "\0"  # no path has it: stands for what is not known yet
_OUTWARD = frozenset({"", ".", ".."})
_NAME_BYTES = 255
_FIRST_PAUSE = 1.0
LONGEST_PAUSE = 900.0
"""Seconds between two tries of an after-action at most."""


class AfterKind(StrEnum):
    """What `after` may ask for, beside `keep`."""

    DELETE = "delete"
    MOVE = "move"


class AfterState(StrEnum):
    """Where an after-action stands."""

    PLANNED = "planned"  # runs when every delivery of the file version is attached
    TAKEN = "taken"  # the names are recorded, the file may be under way
    DONE = "done"  # the file is where `after` wants it
    FAILED = "failed"  # it cannot be done; the file stays where it is
    SKIPPED = "skipped"  # there is nothing to do it with: other bytes lie there, or none


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A rule's `after`, compiled. `move` is given for a move only; relative paths count from `base`."""

    kind: AfterKind
    move: Template | None = None
    base: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAfter:
    """What is to become of one file version.

    Attributes:
        rule: whose `after` it is.
        kind: what is to be done.
        target: for a move: the absolute path, in `os.fsdecode` form, as a template of nothing but `{sha256}`.
        fault: why it can never be done, or "".
    """

    rule: str
    kind: AfterKind
    target: str | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterAction:
    """An after-action as the ledger has it. Paths are in `os.fsdecode` form.

    Attributes:
        folder: absolute.
        path: of the file, relative to the folder.
        target: as in `PlannedAfter`.
        chosen: for a move that is taken: the absolute path that was free.
        held_as: once it is taken: the name that the file bears in its own directory while it is under way.
        attempts: how often it could not be done for a passing reason.
        detail: how it stands, in words.
        first_seen: of the file version.
    """

    id: int
    folder_id: int
    folder: str
    path: str
    signs: Signs
    sha256: str | None
    rule: str
    kind: AfterKind
    target: str | None
    chosen: str | None
    held_as: str | None
    state: AfterState
    attempts: int
    detail: str
    first_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What is still to do: `now`, or only `later` because it could not be done when it was tried."""

    now: bool
    later: bool


class AfterLedger(Protocol):
    """What the ledger remembers of after-actions. What a method wrote is durable when it returns."""

    def reconsider(self, at: datetime) -> None:
        """Let what failed be tried once more: the rules may have been mended since."""
        ...

    def due(self, folders: Collection[int], at: datetime) -> AfterAction | None:
        """Give the after-action of these folders that has been due for longest, or None."""
        ...

    def left(self, folders: Collection[int], at: datetime) -> Leftovers:
        """Say whether any of these folders has an after-action that is due."""
        ...

    def take(self, action: AfterAction, chosen: str | None, held_as: str, at: datetime) -> AfterAction | None:
        """Record what is done, and the names, before it is done. None: it is not to be, or not yet."""
        ...

    def postpone(self, action: AfterAction, detail: str, due_at: datetime, at: datetime) -> None:
        """Record why it could not be done, and when it is tried again."""
        ...

    def finish(self, action: AfterAction, state: AfterState, detail: str, at: datetime) -> None:
        """Record how it ended."""
        ...


class Mover(Protocol):
    """Does to a file what its after-action says.

    Every method raises `FileError`: FileGone, FileChanged and NotRegular where the delivered bytes are not
    there; FileUnreadable for what may pass; MoveRefused for what will not; NameTaken where another name
    has to be chosen.
    """

    def verify(self, action: AfterAction) -> None:
        """Make sure that the bytes on disk are still the delivered ones."""
        ...

    def choose(self, target: str) -> str:
        """Make the directory of a path and give that path, or one beside it whose name is free."""
        ...

    def carry_out(self, action: AfterAction, stops: Callable[[], bool]) -> None:
        """Do it, from whatever an earlier run left; nothing is lost or overwritten wherever it is cut."""
        ...

    def send_after(self, action: AfterAction, marker: str) -> None:
        """Do to a file's marker (relative to the folder) what was done to the file; nothing if it is gone."""
        ...


def plan_after(
    after: After | None, rule: str, captures: Mapping[str, str], built_ins: Mapping[str, str]
) -> PlannedAfter | None:
    """Render a rule's `after` for one file; None for `keep`.

    Args:
        after: of the first rule that took the file.
        rule: its name.
        captures: as captured, in `os.fsdecode` form.
        built_ins: in the same form; `sha256` is left open whether it is known or not.
    """
    if after is None:
        return None
    if after.move is None:
        return PlannedAfter(rule=rule, kind=after.kind)
    text = after.move.render({**built_ins, **captures, "sha256": _OPEN})
    path = _absolute(text, after.base)
    fault = _slash_fault(after.move, captures) or _segment_fault(path)
    left_open = path.replace("{", "{{").replace("}", "}}").replace(_OPEN, "{sha256}")
    return PlannedAfter(rule=rule, kind=after.kind, target=left_open, fault=fault)


def final_target(target: str, sha256: str | None) -> str | None:
    """Put the hash into what `plan_after` rendered; None where it is asked for and not known."""
    template = parse_template(target, allowed=AFTER_HASH)
    if template.names and sha256 is None:
        return None
    return template.render({"sha256": sha256 or ""})


def literal_fault(move: Template) -> str:
    """Say what is wrong with a move whatever the file is called, or ""."""
    text = move.render(dict.fromkeys(move.names, "x"))
    if _OPEN in text:
        return "a path cannot have a NUL character"
    return _segment_fault(_absolute(text, "/base"))


def static_directory(move: Template, base: str, folder: str) -> str:
    """Give the absolute directory that every file moved by this template comes to lie in or below."""
    values = dict.fromkeys(move.names, _OPEN) | {"folder": folder}
    text = move.render(values)
    known = text.partition(_OPEN)[0]
    return _absolute(known, base).rpartition("/")[0] or "/"


def is_inside(path: str, directory: str) -> bool:
    """Say whether an absolute path is a directory or lies in it; both without links and `..`."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def held_name(action_id: int, name: str) -> str:
    """Give the name that a file bears while its after-action is under way: noise to every scan."""
    beginning = f".attachd-{action_id}-"
    return beginning + _cut(name, _NAME_BYTES - len(beginning))


def free_names(name: str) -> Iterator[str]:
    """Give a name, then `name (2)`, `name (3)` …, the number before the last suffix."""
    yield name
    stem, dot, extension = name.rpartition(".")
    if not stem.strip("."):
        stem, dot, extension = name, "", ""
    number = 2
    while True:
        ending = f" ({number}){dot}{extension}"
        yield _cut(stem, max(1, _NAME_BYTES - len(_bytes(ending)))) + ending
        number += 1


def pause_after(attempts: int) -> float:
    """Give the seconds until an action that failed `attempts` times is tried again: 1, 2, 4 … 900."""
    return min(LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(max(attempts - 1, 0), 32))


def _absolute(text: str, base: str) -> str:
    return text if text.startswith("/") else f"{base.rstrip('/')}/{text}"


def _slash_fault(move: Template, captures: Mapping[str, str]) -> str:
    for name in move.names:
        if "/" in captures.get(name, ""):
            return f"{{{name}}} has a slash, as {quoted(captures[name])}"
    return ""


def _segment_fault(path: str) -> str:
    for segment in path[1:].split("/"):
        if segment in _OUTWARD:
            what = "an empty name" if not segment else f"a name `{segment}`"
            return f"the path comes out with {what} in it, as '{escape(path.replace(_OPEN, '{sha256}'))}'"
    return ""


def _cut(name: str, most: int) -> str:
    while len(_bytes(name)) > most:
        name = name[:-1]
    return name


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
