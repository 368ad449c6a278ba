"""Turns file-system events into hints. The only user of watchdog, with `folders.tree_watches`.

Events are hints and nothing more: watchdog (7.1) loses them without a word when its queue overflows, when
the limit of watches is reached and when the folder is unmounted or renamed, and it never tells of the
close of a file in a directory that is younger than its watch. So the handler only leaves the path in the
mailbox, every loss asks for a scan, and the folder's thread asks now and then whether all of this lives.
"""

import errno
import os
import warnings

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
    FileSystemMovedEvent,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from attachd.folders.mailbox import Mailbox
from attachd.folders.tree_watches import TreeEmitter
from attachd.folders.walk import in_words

_FILTER: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileCreatedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]  # narrows the kernel's mask as well: our own reading must not fill the queue

_NO_WATCH = -1
"""What watchdog (7.1) takes for a watch where the kernel gave none: the directory is closed to us."""

_MOST_CLOSED = 1000
"""Directories without a watch that are asked again; more of them are scanned only."""

_JOIN = 2.0
"""Seconds that threads of watchdog get to end; they are daemon threads."""


class FolderEvents:
    """The watch on one folder. Owned by that folder's thread, which starts, asks and stops it.

    An instance of inotify and an observer of its own: a folder in trouble does not blind another one.

    Args:
        root: the folder, absolute; links in it are resolved, because a watch on a link sees nothing.
        mailbox: where hints go.
    """

    def __init__(self, root: str, mailbox: Mailbox) -> None:
        self._root = root
        self._mailbox = mailbox
        self._queue: _Queue | None = None
        self._observer: BaseObserver | None = None

    @property
    def is_on(self) -> bool:
        """Say whether the watch was started and not stopped since."""
        return self._observer is not None

    @property
    def watches(self) -> int:
        """Count the watches that are set: one for each directory that brings events."""
        return self._queue.watches if self._queue else 0

    @property
    def refused(self) -> int:
        """Count the directories without a watch because the system's limit of watches is reached."""
        return self._queue.refused if self._queue else 0

    @property
    def overflowed(self) -> bool:
        """Say whether events were lost since the watches were set: directories made then have none."""
        return self._queue is not None and self._queue.overflowed

    @property
    def opened(self) -> bool:
        """Say whether a directory that was closed to us, and has no watch for that, can be read by now."""
        return self._queue is not None and self._queue.opened()

    def start(self) -> str:
        """Set the watches, on every directory below the folder, and give "" or what prevents it, in words."""
        _silence_doubled_watches()
        root = os.path.realpath(self._root)
        try:
            self._queue = _Queue(self._mailbox)
            self._queue.start()
            self._observer = BaseObserver(TreeEmitter, inotify_fd=self._queue)
            self._observer.schedule(_Handler(root, self._mailbox), root, recursive=True, event_filter=_FILTER)
            self._observer.start()
        except OSError as error:
            self.stop()
            return _explain(error)
        return ""

    def fault(self) -> str:
        """Say what ended the watch since it was started, or ""."""
        if self._observer is None or self._queue is None:
            return "it was not started"
        if self._queue.failure is not None:
            return f"reading events failed: {self._queue.failure!r}"
        if not self._queue.is_alive() or not self._observer.is_alive():
            return "a thread of watchdog ended"
        if not all(emitter.is_alive() for emitter in self._observer.emitters):
            return "the watched directory was removed, or its events ended"
        return ""

    def stop(self) -> None:
        """Take the watches away; a second time does nothing."""
        observer, self._observer = self._observer, None
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.is_ending = True
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join(_JOIN)
        if queue is not None:
            queue.stop()
            queue.join(_JOIN)


class _Handler(FileSystemEventHandler):
    """Leaves hints, and does nothing that could take time or fail."""

    def __init__(self, root: str, mailbox: Mailbox) -> None:
        self._root = root
        self._prefix = root.rstrip("/") + "/"
        self._mailbox = mailbox

    def dispatch(self, event: FileSystemEvent) -> None:
        moved = isinstance(event, FileSystemMovedEvent)
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        if path.startswith(self._prefix):
            self._mailbox.put(path.removeprefix(self._prefix), is_directory=event.is_directory)
        elif path == self._root:
            self._mailbox.put("")


class _Queue(InotifyFD):
    """The kernel's queue of events, which tells when it overflowed, failed or ran out of watches."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__()
        self._mailbox = mailbox
        self.refused = 0
        self.overflowed = self.is_ending = False
        self._unwatched: set[bytes] = set()
        self.failure: Exception | None = None

    @property
    def watches(self) -> int:
        """Count the watches that are set."""
        return len(self._watch_for_wd)

    def opened(self) -> bool:
        """Say whether one of the directories that could not be watched can be read by now."""
        return any(os.access(path, os.R_OK) for path in tuple(self._unwatched))

    def run(self) -> None:
        """Read events until stopped; what goes wrong is kept for the folder's thread, which starts anew."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever ends it, the watch is rebuilt and the folder scanned
            self.failure = error
            self._mailbox.lose_hints()

    def handle_event(self, event: InotifyEvent) -> None:
        """Handle an event; after an overflow, ask for a scan at once and leave the watches as they are.

        Watchdog would set them anew here, which takes a second for 20,000 directories and brings an event
        for each: the next overflow, and so on. One that taking all of them away brings means nothing.
        """
        if not event.is_queue_overflow:
            super().handle_event(event)
        elif not self.is_ending:
            self.overflowed = True
            self._mailbox.lose_hints()

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        """Set one watch, noting what refuses it (watchdog goes on without it, silently).

        A directory that is made by somebody else is often opened to us a moment later, by chmod or chgrp.
        """
        try:
            watch = super().add_callback(path, mask, callback, id_)
        except OSError as error:
            self.refused += error.errno == errno.ENOSPC
            raise
        if watch == _NO_WATCH:
            self._watch_for_wd.pop(watch, None)
            if len(self._unwatched) < _MOST_CLOSED:
                self._unwatched.add(path)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return watch


def _explain(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the limit of watches is reached: raise fs.inotify.max_user_watches (ENOSPC)"
    if error.errno == errno.EMFILE:
        return "the limit of inotify instances is reached: raise fs.inotify.max_user_instances (EMFILE)"
    return in_words(error)


def _silence_doubled_watches() -> None:
    """Keep watchdog's warning away that a new directory is watched twice, which is harmless and frequent."""
    warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
