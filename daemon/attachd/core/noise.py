"""Names that are never files to attach: leavings of writers, attachd's own, and what `ignore` says.

As in one long gitignore file, the built-in names come first and the folder's `ignore` patterns after them,
and the last that says anything holds. So `!*.part` takes `.part` files after all (CAD programs save such),
while attachd's own names are always noise. As in git, nothing below an ignored directory comes back.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pathspec import GitIgnoreSpec

_ENDINGS = (".tmp", ".part", ".partial", ".filepart", ".crdownload")  # in lower case
_BEGINNINGS = (".", "~$")  # hidden files, and the owner files of office programs
_NAMES = frozenset({"thumbs.db"})  # in lower case; .DS_Store and rsync's .~tmp~ begin with a dot
_DIRECTORIES = frozenset({"lost+found"})
_OWN_BEGINNING = ".attachd-"
_OWN_DIRECTORY = "_attachd"
_DIRECTORIES_REMEMBERED = 4096


class Noise:
    """Tells noise from files. Any thread may ask: nothing but a memory of directories changes."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Take the `ignore` patterns of a folder, checked by `check_ignore`.

        Raises:
            ValueError: a pattern cannot be used.
        """
        self._last_first = tuple(_read(pattern) for pattern in reversed(patterns))
        self._is_below_noise = lru_cache(maxsize=_DIRECTORIES_REMEMBERED)(self._look_upwards)

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        """Say whether a relative path, or a directory above it, is noise."""
        directory, _, name = path.rpartition("/")
        if directory and self._is_below_noise(directory):
            return True
        return self._is_noise(path, name, is_directory=is_directory)

    def _look_upwards(self, directory: str) -> bool:
        """Look at a directory and at all those above it, from the top."""
        end = 0
        while end >= 0:
            start = end
            end = directory.find("/", start + 1)
            above = directory if end < 0 else directory[:end]
            if self._is_noise(above, above.rpartition("/")[2], is_directory=True):
                return True
        return False

    def _is_noise(self, path: str, name: str, *, is_directory: bool) -> bool:
        if _is_own(name, is_directory=is_directory):
            return True
        # A pattern has no newline and a path no NUL; a newline would go astray with `.` and `$` of a regex.
        shown = path.replace("\n", "\0")
        for pattern in self._last_first:
            if pattern.names(shown, is_directory=is_directory):
                return pattern.ignores
        return _is_built_in(name, is_directory=is_directory)


def check_ignore(pattern: str) -> None:
    """Refuse an `ignore` pattern that could never do what its author means.

    Raises:
        ValueError: it is empty or a comment, has a line break or NUL, or is no gitignore pattern.
    """
    _read(pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """One line of gitignore(5), as it holds for an entry itself; what is above it is asked for on its own.

    pathspec's own matching holds for an entry and all that is below it, and lets `*` win over a later `!*/`.
    """

    regex: re.Pattern[str]
    ignores: bool
    only_directories: bool

    def names(self, path: str, *, is_directory: bool) -> bool:
        if self.only_directories and not is_directory:
            return False
        # pathspec closes an expression that names one entry with `$)`; `*` and `a/**` name all below as well.
        if self.regex.pattern.endswith("$)"):
            return self.regex.fullmatch(path) is not None
        return self.regex.search(path) is not None


def _read(pattern: str) -> _Pattern:
    if any(character in pattern for character in "\n\r\0"):
        raise ValueError("a pattern is one line; write a list for several")
    line = pattern if pattern.endswith("\\ ") else pattern.rstrip()  # git drops trailing spaces
    if line.startswith("#"):
        raise ValueError("a pattern that begins with # is a comment; write \\# for the character")
    body = line.rstrip("/")
    if body in {"", "!"}:
        raise ValueError("the pattern names nothing")
    try:
        (compiled,) = GitIgnoreSpec.from_lines([body], backend="simple").patterns
    except (ValueError, re.error):
        compiled = None
    if compiled is None or compiled.regex is None or compiled.include is None:
        raise ValueError("not a gitignore pattern")
    return _Pattern(regex=compiled.regex, ignores=compiled.include, only_directories=body != line)


def _is_own(name: str, *, is_directory: bool) -> bool:
    return name.startswith(_OWN_BEGINNING) or (is_directory and name == _OWN_DIRECTORY)


def _is_built_in(name: str, *, is_directory: bool) -> bool:
    if name.startswith(_BEGINNINGS):
        return True
    lowered = name.lower()
    return lowered.endswith(_ENDINGS) or lowered in (_DIRECTORIES if is_directory else _NAMES)
