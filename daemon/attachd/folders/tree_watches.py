"""Keeps watchdog's books right about which watch is on which directory. For `folders.events` alone.

Watchdog (7.1) leaves a watch on a directory that is moved out of the folder. When another one takes the name
and is moved on, a later end of the first watch raises KeyError wherever it is met. And it walks by recursion,
which ends at a thousand levels, while anybody who may write here can make a deeper tree.
"""

import os
from contextlib import suppress

from watchdog.observers.inotify import InotifyEmitter, InotifyWatchGroup
from watchdog.observers.inotify_c import InotifyEvent, WatchDescriptor
from watchdog.observers.inotify_move_event_grouper import GroupedInotifyEvent, PathedInotifyEvent


class TreeWatches(InotifyWatchGroup):
    """The watches on a directory and on everything below it. Owned by watchdog's threads, behind its lock."""

    def drop_moved(self, path: bytes) -> None:
        """Take away the watches that a directory, moved out of the folder, took with it."""
        with self._lock:
            if not self.is_active:
                return
            below = path + b"/"
            self._remove_callbacks(
                [
                    watch
                    for watch, place in self._active_callbacks_by_watch.items()
                    if (place == path or place.startswith(below)) and not self._is_on(watch, place)
                ]
            )

    def _is_on(self, watch: WatchDescriptor, place: bytes) -> bool:
        return self._active_callbacks_by_path.get(place) == watch and os.path.lexists(place)

    def _move_watches(self, move_src_path: bytes, move_dst_path: bytes) -> bool:
        """Say whether the watch that was moved along is indeed on what came, and not on its predecessor."""
        if not super()._move_watches(move_src_path, move_dst_path):
            return False
        moved = self._active_callbacks_by_path.get(move_dst_path)
        self._add_callback(move_dst_path)  # the kernel knows by itself whether it has a watch already
        return self._active_callbacks_by_path.get(move_dst_path) == moved

    def _remove_watch_internally(self, wd: WatchDescriptor) -> None:
        place = self._active_callbacks_by_watch.pop(wd, None)
        if place is not None and self._active_callbacks_by_path.get(place) == wd:
            del self._active_callbacks_by_path[place]

    def _add_all_callbacks(self, path: bytes) -> None:
        pending = [path]
        while pending:
            directory = pending.pop()
            self._add_callback(directory)
            with suppress(OSError), os.scandir(directory) as entries:  # else the scan says what is wrong
                pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]

    def _recursive_simulate(self, src_path: bytes) -> list[InotifyEvent]:
        try:
            return super()._recursive_simulate(src_path)
        except RecursionError:
            return []  # the folder's thread reads a new directory with everything below it


class TreeEmitter(InotifyEmitter):
    """Tells of what the watches bring."""

    def on_thread_start(self) -> None:
        """Set the watches."""
        self._inotify = TreeWatches(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            is_recursive=self.watch.is_recursive,
            event_mask=self.get_event_mask_from_filter(),
            follow_symlink=self.watch.follow_symlink,
        )

    def build_and_queue_event(self, event: GroupedInotifyEvent, *, full_events: bool = False) -> None:
        """Pass an event on, and let go of a directory that went where nobody watches."""
        if isinstance(event, PathedInotifyEvent) and event.ev.is_moved_from and event.ev.is_directory:
            self._let_go(event.path)
        with suppress(RecursionError):  # of what lies below a directory; itself was told of by then
            super().build_and_queue_event(event, full_events=full_events)

    def _let_go(self, path: bytes) -> None:
        watches = self._inotify
        if isinstance(watches, TreeWatches):
            watches.drop_moved(path)
