"""One process that touches a network file system for us, and the talk with it."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator

from attachd import errors
from attachd.errors import FileError, FileUnreadable
from attachd.folders import walk
from attachd.folders.frames import Said, pack, unpack

PROGRAM = (sys.executable, "-I", "-X", "utf8", "-m", "attachd.folders.share_process")

_BLOCK = 1024 * 1024
_KINDS = {
    each.__name__: each
    for each in (
        errors.FileGone,
        errors.FileChanged,
        errors.FileUnreadable,
        errors.NotRegular,
        errors.MoveRefused,
        errors.NameTaken,
        walk.RootOut,
        walk.LinkAbove,
    )
}


class ShareSilent(walk.RootOut):
    """A network file system did not answer in time: nothing is known about anything on it."""


class ShareLost(walk.RootOut):
    """The process that touched a network file system ended; another one may fare better."""


class Channel:
    """One such process. Used by one thread at a time; `give_up` is for any thread.

    No descriptor of ours but its pipes goes to it, and it has a session of its own: what ends us by a signal
    to all leaves it to the end of its input.

    Args:
        silence: seconds without a word after which it is taken to hang.

    Attributes:
        process: the process.
        waits_since: when the present wait for an answer began, by the monotonic clock; None: nobody waits.
    """

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._received = bytearray()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_sound = True
        self._given_up = False
        self.waits_since: float | None = None
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own program, no part of the command is a file's
                PROGRAM,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                close_fds=True,
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._wake)
            raise ShareLost(f"no process for it can be started: {walk.in_words(error)}") from error
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._requests, self._answers = self.process.stdin, self.process.stdout

    @property
    def is_sound(self) -> bool:
        """Say whether it waits for a request, so that it can be used again."""
        return self._is_sound and not self._given_up

    def ask(self, do: str, **about: object) -> tuple[Said, bytes]:
        """Make a request and give its only answer; `goes_on` answers only show that something is done.

        Raises:
            FileError: what went wrong there; ShareSilent: it does not answer; ShareLost: it is gone.
        """
        self.send(do, **about)
        while True:
            said, body = self.receive()
            if "goes_on" not in said:
                self._is_sound = True
                return said, body

    def ask_slowly(self, do: str, **about: object) -> Iterator[Said]:
        """Make a request and give each of its answers until one is final, which is given as well."""
        self.send(do, **about)
        while True:
            said, _ = self.receive()
            self._is_sound = "goes_on" not in said
            yield said
            if self._is_sound:
                return

    def send(self, do: str, **about: object) -> None:
        """Make a request; its answers are to be received before the next."""
        self._is_sound = False
        try:
            self._requests.write(pack({"do": do, **about}))
        except OSError as error:
            raise ShareLost("the process that read it ended") from error

    def receive(self) -> tuple[Said, bytes]:
        """Give the next answer.

        Raises:
            FileError: as for `ask`.
        """
        while (found := unpack(self._received)) is None:
            self._wait()
            block = os.read(self._answers.fileno(), _BLOCK)
            if not block:
                raise ShareLost("the process that read it ended")
            self._received += block
        said, body = found
        if "error" in said:
            self._is_sound = True
            raise _error_of(said)
        return said, body

    def give_up(self) -> None:
        """Let whoever waits for an answer go on without it."""
        self._given_up = True
        os.eventfd_write(self._wake, 1)

    def end(self) -> None:
        """Kill the process and wait for nothing: one that hangs in the kernel stays until that lets it go."""
        self._is_sound = False
        self.process.kill()
        self._requests.close()
        self._answers.close()
        os.close(self._wake)

    def _wait(self) -> None:
        """Wait until something was said; each word begins the time anew."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        self.waits_since = time.monotonic()
        ready = {descriptor for descriptor, _ in poll.poll(self._silence * 1000)}
        self.waits_since = None
        if self._given_up:
            raise ShareLost("the server does not answer")
        if not ready:
            raise ShareSilent(f"hung: the server did not answer for {self._silence:g} seconds")


def _error_of(said: Said) -> FileError:
    return _KINDS.get(said["error"], FileUnreadable)(said["text"])
