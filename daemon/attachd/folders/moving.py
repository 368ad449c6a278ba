"""Deletes and moves delivered files, so that no crash and no other program makes it lose or overwrite one.

Theory of operation. Nothing is done to a file under its own name: it is first renamed, in its directory, to
the name that the ledger has recorded (`.attachd-ID-name`, noise to every scan), and only if what bears that
name then is the delivered file, it goes on; else it gets its name back. A move within a file system is one
rename. Across file systems the bytes are copied into a file beside the destination, which gets its final
name when it is whole and on disk, and only then the original goes. No rename replaces anything
(`RENAME_NOREPLACE`). Every step looks at what is there, so that the same call begins an action, goes on
with it after a crash, and undoes it where it cannot be finished.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from attachd.core.afters import AfterAction, free_names, is_inside
from attachd.core.paths import escape
from attachd.errors import (
    FileChanged,
    FileError,
    FileGone,
    FileUnreadable,
    MoveRefused,
    NameTaken,
    NotRegular,
)
from attachd.folders import walk
from attachd.folders.copying import copy, sha256_of
from attachd.folders.mounts import where
from attachd.folders.renaming import flush, rename_new

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAME_BYTES = 100  # of a name of ours, however it is encoded
_NEVER = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})


@dataclass(frozen=True, slots=True)
class _Held:
    """A file under its recorded name, open: `facts` are those of the moment its bytes were verified."""

    descriptor: int
    facts: os.stat_result


class LocalMover:
    """Acts on files that this process may touch itself (`core.afters.Mover`). Any thread may use it.

    `watched` gives the folders that no file may be moved into.
    """

    def __init__(self, watched: Callable[[], Sequence[str]]) -> None:
        self._watched = watched

    def verify(self, action: AfterAction) -> None:
        """Make sure that the bytes on disk are still the delivered ones.

        Raises:
            FileError: FileGone, FileChanged or NotRegular: they are not; FileUnreadable: nobody can tell.
        """
        descriptor = walk.open_file(action.folder, action.path)
        try:
            with _explained():
                _verified(descriptor, action)
        finally:
            os.close(descriptor)

    def choose(self, target: str) -> str:
        """Make the directory of a path and give that path, or one beside it whose name is free.

        Raises:
            MoveRefused: it lies in a watched folder, or cannot be the name of a file.
            FileUnreadable: the system refuses to make the directory, or to write to it.
        """
        directory, _, name = target.rpartition("/")
        with self._destination(directory) as descriptor, _explained():
            free = next(each for each in free_names(name) if not _exists(descriptor, each))
        return f"{directory}/{free}"

    def carry_out(self, action: AfterAction, stops: Callable[[], bool]) -> None:
        """Do what a taken action says, from whatever an earlier run left.

        Args:
            action: with its recorded names.
            stops: asked between blocks of a copy.

        Raises:
            FileGone: neither the file nor what was made of it is there.
            FileChanged, NotRegular: other bytes lie there; they have their own name again.
            FileUnreadable: it may pass; the file has its own name again, where that could be done.
            MoveRefused, NameTaken: the recorded place cannot be used.
            StopRequested: `stops` said so.
        """
        try:
            self._carry_out(action, stops)
        except FileGone:
            if action.chosen is None or not self._is_there(action.chosen, action):
                raise

    def send_after(self, action: AfterAction, marker: str) -> None:
        """Do to a file's marker what was done to the file; nothing if it is gone, or the file is back.

        Raises:
            FileError: it stays where it is; as for `carry_out`.
        """
        directory, _, name = action.path.rpartition("/")
        marker = marker.rpartition("/")[2]
        with suppress(FileGone), walk.directory(action.folder, directory) as source, _explained():
            if _exists(source, name) or not _is_file(source, marker):
                return
            if action.chosen is None:
                os.unlink(marker, dir_fd=source)
            else:
                self._move_marker(source, marker, action.chosen.rpartition("/")[0])
            flush(source)

    def _move_marker(self, source: int, marker: str, directory: str) -> None:
        with self._destination(directory) as there, _explained():
            free = next(each for each in free_names(marker) if not _exists(there, each))
            if os.fstat(there).st_dev == os.fstat(source).st_dev:
                rename_new(source, marker, there, free)
            else:
                _copy_marker(source, marker, there, free)
            flush(there)

    def _carry_out(self, action: AfterAction, stops: Callable[[], bool]) -> None:
        directory, _, name = action.path.rpartition("/")
        with walk.directory(action.folder, directory) as source, _explained():
            if action.chosen is None:
                with _held(source, name, action) as held:
                    _remove(source, action, held)
                return
            with self._destination(action.chosen.rpartition("/")[0]) as there:
                _move(source, name, there, action, stops)

    def _is_there(self, path: str, action: AfterAction) -> bool:
        directory, _, name = path.rpartition("/")
        with self._destination(directory) as there, _explained():
            return _exists(there, name) and _has_arrived(there, name, action)

    @contextmanager
    def _destination(self, directory: str) -> Iterator[int]:
        directory = directory or "/"
        self._require_outside(where(directory).path)
        with _explained():
            _make(directory)
            descriptor = os.open(directory, _DIRECTORY)
        try:
            self._require_outside(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - fsdecode form
            with _explained():
                if not os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor):
                    raise FileUnreadable(f"attachd may not write to {escape(directory)}")
            yield descriptor
        finally:
            os.close(descriptor)

    def _require_outside(self, real: str) -> None:
        for folder in self._watched():
            if is_inside(real, where(folder).path):
                raise MoveRefused(f"{escape(real)} lies in the watched folder {escape(folder)}")


def _move(source: int, name: str, there: int, action: AfterAction, stops: Callable[[], bool]) -> None:
    assert action.chosen is not None
    final = action.chosen.rpartition("/")[2]
    if _exists(there, final):
        if not _has_arrived(there, final, action):
            raise NameTaken(f"something lies at {escape(action.chosen)} by now")
        _remove_original(source, name, action)
        return
    with _held(source, name, action) as held:
        if os.fstat(there).st_dev == held.facts.st_dev and _renamed(source, there, final, action):
            return
        _copy_over(held, there, final, action, stops)
        _remove(source, action, held)


def _copy_over(held: _Held, there: int, final: str, action: AfterAction, stops: Callable[[], bool]) -> None:
    part = _part_name(action)
    copy(held.descriptor, held.facts, there, part, action.sha256, stops)
    try:
        _require_untouched(held)
        rename_new(there, part, there, final)
    except BaseException:
        os.unlink(part, dir_fd=there)
        raise
    flush(there)


def _renamed(source: int, there: int, final: str, action: AfterAction) -> bool:
    """Move within a file system; False where the two directories lie on different mounts of it."""
    try:
        rename_new(source, action.held_as or "", there, final)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    flush(there)
    flush(source)
    return True


@contextmanager
def _held(source: int, name: str, action: AfterAction) -> Iterator[_Held]:
    """Hold the delivered file open under its recorded name; it gets its own back where all else fails."""
    held = _leftover(source, name, action) or _taken_away(source, name, action)
    try:
        yield held
    except BaseException:
        _put_back(source, action.held_as or "", name)
        raise
    finally:
        os.close(held.descriptor)


def _leftover(source: int, name: str, action: AfterAction) -> _Held | None:
    """Go on with the file that an earlier run renamed; any other file that bears its name gets its own."""
    held_as = action.held_as or ""
    if not _exists(source, held_as):
        return None
    descriptor = _open(source, held_as)
    try:
        return _Held(descriptor, _verified(descriptor, action))
    except (FileChanged, NotRegular):
        os.close(descriptor)
        _put_back(source, held_as, name)
        return None
    except BaseException:
        os.close(descriptor)
        raise


def _taken_away(source: int, name: str, action: AfterAction) -> _Held:
    """Rename the delivered file to its recorded name, and make sure that this is what bears it then."""
    held_as = action.held_as or ""
    descriptor = _open(source, name)
    try:
        held = _Held(descriptor, _verified(descriptor, action))
        rename_new(source, name, source, held_as)
        if not _is_same(os.stat(held_as, dir_fd=source, follow_symlinks=False), held.facts):
            _put_back(source, held_as, name)
            raise FileChanged("another file took its place")  # noqa: TRY301 - beside the look that tells it
    except BaseException:
        os.close(descriptor)
        raise
    return held


def _remove(source: int, action: AfterAction, held: _Held) -> None:
    _require_untouched(held)
    os.unlink(action.held_as or "", dir_fd=source)
    flush(source)


def _require_untouched(held: _Held) -> None:
    if not _is_same(os.fstat(held.descriptor), held.facts):
        raise FileChanged("it was written to while attachd had it")


def _remove_original(source: int, name: str, action: AfterAction) -> None:
    """Let the original go whose bytes have arrived; other bytes at its name are another file, and stay."""
    with suppress(FileGone, FileChanged, NotRegular), _held(source, name, action) as held:
        _remove(source, action, held)


def _put_back(source: int, held_as: str, name: str) -> None:
    """Give a file its name back, or one beside it where that is taken: then it is found as a new file."""
    if not _exists(source, held_as):
        return
    for each in free_names(name):
        with suppress(FileExistsError):
            rename_new(source, held_as, source, each)
            return


def _has_arrived(there: int, final: str, action: AfterAction) -> bool:
    try:
        descriptor = _open(there, final)
    except FileError:
        return False
    try:
        _verified(descriptor, action)
    except FileError:
        return False
    finally:
        os.close(descriptor)
    return True


def _verified(descriptor: int, action: AfterAction) -> os.stat_result:
    """Give the facts about an open file, whose bytes are the delivered ones.

    The signs cannot tell after a rename, which changes ctime: then the hash decides.
    """
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise NotRegular(f"it is {walk.kind_of(facts.st_mode) or 'a directory'}")
    known = action.signs
    signs = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    if signs == (known.size, known.mtime_ns, known.ctime_ns):
        return facts
    if action.sha256 is None:  # delivered by a person's word, never read: only the signs can tell
        same = signs[:2] == (known.size, known.mtime_ns) and action.held_as is not None
    else:
        same = facts.st_size == known.size and sha256_of(descriptor) == action.sha256
    if not same or not _is_same(os.fstat(descriptor), facts):
        raise FileChanged("the bytes on disk are not the delivered ones")
    return facts


def _is_same(now: os.stat_result, before: os.stat_result) -> bool:
    about = [(each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in (now, before)]
    return about[0] == about[1]


def _part_name(action: AfterAction) -> str:
    """Name the copy while it is not whole: after its bytes, so that no other attachd's is mistaken for it."""
    return f".attachd-{action.id}-{(action.sha256 or 'unread')[:16]}.part"


def _open(directory: int, name: str) -> int:
    try:
        return os.open(name, _FILE, dir_fd=directory)
    except OSError as error:
        raise walk.translated(error) from error


def _copy_marker(source: int, marker: str, there: int, free: str) -> None:
    descriptor, part = _open(source, marker), f".attachd-{free}"[:_NAME_BYTES]
    try:
        copy(descriptor, os.fstat(descriptor), there, part, None, lambda: False)
    finally:
        os.close(descriptor)
    rename_new(there, part, there, free)
    os.unlink(marker, dir_fd=source)


def _is_file(directory: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _make(directory: str) -> None:
    """Make a directory and those above it, each entry on disk before the next."""
    missing = []
    while not os.path.lexists(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)  # noqa: PTH120 - a path in fsdecode form
    for each in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(each)  # noqa: PTH102 - as above
        above = os.open(os.path.dirname(each), _DIRECTORY)  # noqa: PTH120 - as above
        try:
            flush(above)
        finally:
            os.close(above)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise NameTaken(walk.in_words(error)) from error
    except OSError as error:
        about = f"{escape(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        if error.errno in _NEVER:
            raise MoveRefused(about + walk.in_words(error)) from error
        raise FileUnreadable(about + walk.in_words(error)) from error
