"""Renames that replace nothing, and directory entries that are on disk when they say so."""

import ctypes
import errno
import os
from functools import cache

_NOREPLACE = 1  # RENAME_NOREPLACE, renameat2(2)
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_UNFLUSHABLE = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF})
_PLACE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def rename_new(source: int, name: str, there: int, new_name: str) -> None:
    """Rename a file, from one open directory to another, unless something bears the new name.

    Where the file system does not know `RENAME_NOREPLACE` (NFS, some of FUSE), the name is reserved by an
    empty file of ours, which the rename then replaces.

    Raises:
        OSError: FileExistsError where the name is taken; whatever else renameat2(2) says.
    """
    number = _renameat2(source, name, there, new_name)
    if number in _UNKNOWN:
        os.close(os.open(new_name, _PLACE, 0o600, dir_fd=there))
        try:
            os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=there)
        except BaseException:
            os.unlink(new_name, dir_fd=there)
            raise
    elif number:
        raise OSError(number, os.strerror(number), name)


def flush(directory: int) -> None:
    """Put the entries of an open directory on disk, where its file system can do that."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in _UNFLUSHABLE:
            raise


def _renameat2(source: int, name: str, there: int, new_name: str) -> int:
    """Give 0 or the number of the error."""
    call = _function()
    if call is None:
        return errno.ENOSYS
    done = call(source, os.fsencode(name), there, os.fsencode(new_name), _NOREPLACE)
    return 0 if done == 0 else ctypes.get_errno()


@cache
def _function() -> "ctypes._NamedFuncPointer | None":
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library from before 2018
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return call
