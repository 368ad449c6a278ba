"""Reaches what lies in a folder without ever leaving it, however the tree changes meanwhile.

Every directory between the folder and the file is opened by its own name below the one before
(openat(2)), and never through a symbolic link. So no swapped parent leads outside, and no path is too
long for the system. The folder itself may be reached through a link: its path comes from rules.yaml.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from attachd.errors import FileError, FileGone, FileUnreadable, NotRegular

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OUTWARD = frozenset({"", ".", ".."})
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RootOut(FileUnreadable):
    """The folder itself cannot be opened: nothing is known about any file in it."""


class LinkAbove(NotRegular):
    """A link stands where a directory of the folder was: the folder has no file at this path any more."""


def open_root(root: str) -> int:
    """Open the folder itself.

    Raises:
        RootOut: it is missing, no directory, or refuses to be read.
    """
    try:
        return os.open(root, _DIRECTORY)
    except OSError as error:
        raise RootOut(f"the folder itself cannot be opened: {in_words(error)}") from error


@contextmanager
def directory(root: str, path: str) -> Iterator[int]:
    """Hold a directory below the folder open; "" is the folder itself.

    Raises:
        RootOut: the folder itself cannot be opened.
        FileGone: a part of the path is not there, or no directory any more.
        NotRegular: the path leads outward; LinkAbove: a part of it is a symbolic link.
        FileUnreadable: the system refuses.
    """
    descriptor = open_root(root)
    try:
        for name in _names(path):
            descriptor, above = _open_below(descriptor, name), descriptor
            os.close(above)
        yield descriptor
    finally:
        os.close(descriptor)


def look(root: str, path: str) -> os.stat_result:
    """Give the facts about what lies at a path, not following a link there; "" is the folder itself.

    Raises:
        FileError: as for `directory`.
    """
    *_, name = _names(path) or ["."]
    with directory(root, path.rpartition("/")[0]) as descriptor:
        try:
            return os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except OSError as error:
            raise translated(error) from error


def open_file(root: str, path: str) -> int:
    """Open a file for reading; a pipe without a writer does not hold us up.

    Raises:
        FileError: as for `directory`; NotRegular also for a symbolic link or a socket at the path.
    """
    *_, name = _names(path) or ["."]
    with directory(root, path.rpartition("/")[0]) as descriptor:
        try:
            return os.open(name, _FILE, dir_fd=descriptor)
        except OSError as error:
            raise translated(error) from error


def kind_of(mode: int) -> str | None:
    """Name what is neither a regular file nor a directory, in words; None for those two."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    names = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return names.get(stat.S_IFMT(mode), "a special file")


def translated(error: OSError) -> FileError:
    """Turn what the system said about a file into the error tree's words."""
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return FileGone("it is not there any more")
    if error.errno == errno.ELOOP:
        return NotRegular("it is a symbolic link")
    if error.errno in {errno.ENXIO, errno.ENODEV}:
        return NotRegular("it is a socket or a device")
    return FileUnreadable(in_words(error))


def in_words(error: OSError) -> str:
    """Say what the system said, with the name of the error: `permission denied (EACCES)`."""
    name = errno.errorcode.get(error.errno or 0, "no number")
    text = os.strerror(error.errno) if error.errno else str(error)
    return f"{text[:1].lower()}{text[1:]} ({name})"


def _names(path: str) -> list[str]:
    names = path.split("/") if path else []
    if not _OUTWARD.isdisjoint(names):
        raise NotRegular("its path is not one of this folder")
    return names


def _open_below(descriptor: int, name: str) -> int:
    try:
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
    except OSError as error:
        # The system answers ENOTDIR for a link as well as for a file that took the directory's place.
        if error.errno in {errno.ENOTDIR, errno.ELOOP} and _is_link(descriptor, name):
            raise LinkAbove("a directory above it is a symbolic link") from error
        raise translated(error) from error


def _is_link(descriptor: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    except OSError:
        return False
