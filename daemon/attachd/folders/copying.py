"""Copies a verified file into another directory: bytes, mode, times and, where allowed, the owner."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar

from attachd.errors import FileChanged, StopRequested

BLOCK = 1024 * 1024
BLOCK_DONE: ContextVar[Callable[[], None]] = ContextVar("BLOCK_DONE", default=lambda: None)
"""Called after each block: a process that does this for another one shows by it that it goes on."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy(
    source: int,
    facts: os.stat_result,
    directory: int,
    name: str,
    sha256: str | None,
    stops: Callable[[], bool],
) -> None:
    """Copy an open file under a name of ours, replacing the leavings of an earlier try, and flush it to disk.

    Raises:
        FileChanged: what was read is not what was delivered; the copy is gone again.
        StopRequested: `stops` said so between two blocks; the copy is gone again.
        OSError: the system refuses; the copy is gone again.
    """
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    target = os.open(name, _NEW, 0o600, dir_fd=directory)
    try:
        _require_same(_copy_bytes(source, target, stops), sha256)
        _dress(target, facts)
        os.fsync(target)
    except BaseException:
        os.unlink(name, dir_fd=directory)
        raise
    finally:
        os.close(target)


def sha256_of(descriptor: int) -> str:
    """Hash an open file from its start and give the digest in hex."""
    digest = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while block := os.read(descriptor, BLOCK):
        digest.update(block)
        BLOCK_DONE.get()()
    return digest.hexdigest()


def _copy_bytes(source: int, target: int, stops: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    os.lseek(source, 0, os.SEEK_SET)
    while block := os.read(source, BLOCK):
        if stops():
            raise StopRequested("the service stops")
        digest.update(block)
        left = memoryview(block)
        while left:
            left = left[os.write(target, left) :]
        BLOCK_DONE.get()()
    return digest.hexdigest()


def _require_same(copied: str, sha256: str | None) -> None:
    if copied != (sha256 or copied):
        raise FileChanged("its bytes changed while they were copied")


def _dress(target: int, facts: os.stat_result) -> None:
    # An owner is given away by root alone, and file systems such as FAT know neither owner nor mode.
    with suppress(PermissionError):
        os.fchown(target, facts.st_uid, facts.st_gid)
    with suppress(PermissionError):
        os.fchmod(target, facts.st_mode & 0o777)
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
