"""From a path that a person typed to a file in a watched folder, and what lies there on disk."""

import os
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from attachd.config.own_files import own_files
from attachd.core.noise import Noise
from attachd.core.paths import escape
from attachd.core.rules import FileFacts
from attachd.core.settings import FolderSettings, Settings
from attachd.errors import FileError, FileGone, NotRegular, UserError
from attachd.folders import reach
from attachd.folders.mounts import where
from attachd.folders.sieve import Sieve
from attachd.model import Signs

UNREAD_SHA256 = "<sha256>"
"""Stands in a rendered filename for the hash of a file that cannot be read."""

_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symbolic link"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISCHR, "character device"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A path inside a watched folder.

    Attributes:
        folder: the folder's settings.
        path: relative to the folder, in `os.fsdecode` form.
        stat: of the path itself, links not followed; None where nothing is there or it cannot be asked.
        trouble: why it cannot be asked, or "".
    """

    folder: FolderSettings
    path: str
    stat: os.stat_result | None
    trouble: str = ""

    @property
    def kind(self) -> str:
        """Say what lies there: `file`, `directory`, `symbolic link` …, or `nothing`."""
        if self.stat is None:
            return "nothing"
        mode = self.stat.st_mode
        return next((name for test, name in _KINDS if test(mode)), "something unknown")


def locate(text: str, folders: Sequence[FolderSettings], directory: str) -> list[Located]:
    """Find the folder, or folders, in which a path lies.

    An absolute path, or one that leads into a folder from the working `directory`, lies in that folder. Any
    other relative path is taken as relative to a folder: to those where it exists, else to each of them.

    Raises:
        UserError: the path lies outside every folder, or is a folder itself.
    """
    absolute = os.path.normpath(os.path.join(directory, text))  # noqa: PTH118 - Path would not take `..` away
    inside = _inside(absolute, folders) or _inside(_without_links(absolute), folders)
    if inside is not None:
        return [inside]
    relative = os.path.normpath(text)
    if not folders or relative.startswith(("/", "../")) or relative in {"..", "."}:
        raise _outside(text, folders)
    everywhere = [_at(folder, relative) for folder in folders]
    return [each for each in everywhere if each.stat is not None] or everywhere


def facts_of(located: Located, settings: Settings, *, hashed: bool) -> FileFacts:
    """Give what rules may know of a file; for one that is not there, size 0 and the present time.

    `hashed` asks for the file to be read, because a rule's filename wants its `{sha256}`.
    """
    now = datetime.now(UTC)
    there = located.stat
    return FileFacts(
        path=located.path,
        folder=located.folder.path,
        size=there.st_size if there else 0,
        mtime=_time_of(there, now),
        first_seen=now,
        host=socket.gethostname(),
        timezone=settings.timezone,
        sha256=_sha256(located) if hashed else UNREAD_SHA256,
    )


def noise_in(located: Located, settings: Settings) -> str | None:
    """Give the part of the path that makes it noise, a directory above it or itself; None where none does."""
    sieve = Sieve(located.folder.path, Noise(located.folder.ignore), own_files(settings))
    for part in _parents(located.path):
        if sieve.ignores(part, is_directory=True):
            return part + "/"
    if sieve.ignores(located.path, is_directory=located.kind == "directory"):
        return located.path
    return None


def _inside(absolute: str, folders: Sequence[FolderSettings]) -> Located | None:
    for folder in folders:
        root = folder.path.rstrip("/") + "/"
        if absolute.startswith(root):
            return _at(folder, absolute.removeprefix(root))
    return None


def _at(folder: FolderSettings, relative: str) -> Located:
    try:
        return Located(folder=folder, path=relative, stat=reach.look(folder.path, relative))
    except (FileGone, NotRegular, ValueError):  # a NUL or an overlong name cannot lie on a disk
        return Located(folder=folder, path=relative, stat=None)
    except FileError as error:
        return Located(folder=folder, path=relative, stat=None, trouble=str(error))


def _without_links(absolute: str) -> str:
    parent, name = os.path.split(absolute)
    return os.path.join(where(parent).path, name)  # noqa: PTH118 - the last part may be a link itself


def _outside(text: str, folders: Sequence[FolderSettings]) -> UserError:
    names = ", ".join(escape(folder.path) for folder in folders) or "none"
    return UserError(
        f"{escape(text)} is not a file inside a watched folder", hint=f"watched folders: {names}"
    )


def _time_of(there: os.stat_result | None, now: datetime) -> datetime:
    if there is None:
        return now
    try:
        return datetime.fromtimestamp(there.st_mtime, UTC)
    except (OverflowError, ValueError, OSError):  # anybody can give a file a time beyond the calendar
        return now


def _sha256(located: Located) -> str:
    if located.stat is None or located.kind != "file":
        return UNREAD_SHA256
    try:
        with reach.open_settled(located.folder.path, located.path, Signs.of(located.stat)) as file:
            return file.sha256()
    except FileError:
        return UNREAD_SHA256


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])
