import ctypes
import errno
import itertools
import os
from pathlib import Path
from types import SimpleNamespace

from watchdog.observers import inotify_c

from attachd.core.settings import Watch
from attachd.folders import events, limits
from attachd.folders.events import FolderEvents
from attachd.folders.lookout import RENEWAL_PAUSE, Lookout
from attachd.folders.mailbox import Mailbox
from attachd.folders.rounds import SHORTEST_PAUSE, next_pause


def hints(mailbox):
    """Take all hints and give their paths."""
    return [path for path, _ in mailbox.take_hints(10_000)]


def test_each_event_leaves_the_relative_path(root, tmp_path, watching, mailbox, until):
    """Closed, moved and created files and directories alike, also with a name that is not UTF-8."""
    name = os.fsdecode(b"sub/\xff")
    (root / "sub").mkdir()
    (root / name).touch()
    (root / "sub" / "b").touch()
    (root / "sub" / "b").rename(root / "c")
    seen = set()

    def all_seen():
        seen.update(hints(mailbox))
        return {"sub", name, "c"} <= seen

    until(all_seen)
    assert all(not path.startswith("/") for path in seen)


def test_reading_files_leaves_no_hint(root, mailbox, until):
    """Our own opening, hashing and listing must not fill the queue."""
    (root / "a").write_text("a")
    watch = FolderEvents(str(root), mailbox)
    assert watch.start() == ""
    try:
        (root / "a").read_bytes()
        list(root.iterdir())
        (root / "b").touch()
        until(lambda: mailbox.has_post)
        assert set(hints(mailbox)) == {"b"}
    finally:
        watch.stop()


def test_a_folder_reached_through_a_link_brings_events(root, tmp_path, mailbox, until):
    """A watch on the link itself would see nothing."""
    link = tmp_path / "link"
    link.symlink_to(root)
    watch = FolderEvents(str(link), mailbox)
    assert watch.start() == ""
    try:
        (root / "a").touch()
        until(lambda: mailbox.has_post)
        assert "a" in hints(mailbox)
    finally:
        watch.stop()


def test_a_missing_folder_cannot_be_watched(tmp_path, mailbox):
    """The reason comes back in words, and no thread stays."""
    watch = FolderEvents(str(tmp_path / "missing"), mailbox)
    assert "ENOENT" in watch.start()
    assert not watch.is_on
    assert watch.fault() == "it was not started"


def test_a_removed_folder_ends_the_watch_visibly(root, watching, until):
    """The library says nothing to its handler then."""
    assert watching.fault() == ""
    root.rmdir()
    until(lambda: "was removed" in watching.fault())


def test_a_failing_reader_ends_the_watch_visibly(root, watching, mailbox, monkeypatch, until):
    """Whatever goes wrong inside watchdog's reader is kept, and asks for a scan."""

    def broken(self, event):
        raise KeyError("provoked")

    monkeypatch.setattr(events.InotifyFD, "handle_event", broken)
    (root / "a").touch()
    until(lambda: "provoked" in watching.fault())
    assert mailbox.take_hints_lost()


def test_an_overflow_of_the_kernels_queue_asks_for_a_scan(root, mailbox, queue_of, until):
    """Events are lost then, and nobody else says so."""
    watch = FolderEvents(str(root), mailbox)
    with queue_of(8):
        assert watch.start() == ""
    assert not watch.overflowed
    try:
        with watch._queue._lock:  # watchdog reads nothing meanwhile
            for number in range(20):
                (root / f"f{number}").touch()
        until(mailbox.take_hints_lost)
        assert mailbox.take_scan_wanted()
        assert watch.overflowed
    finally:
        watch.stop()
    assert not watch.overflowed


def test_watches_are_not_renewed_all_the_time(root, mailbox):
    """Where overflow follows overflow, setting them takes a tenth of the time at most."""
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)))
    lookout = Lookout(str(root), Watch.EVENTS, mailbox, clock, first_pause=2.0)
    lookout.begin("ext4")
    first = lookout._events._queue
    first.overflowed = True
    assert not lookout.sees_all
    asked = 0
    while lookout._events._queue is first:
        assert not lookout.tend()
        asked += 1
        assert asked < 100
    assert asked > RENEWAL_PAUSE / 2
    assert lookout.sees_all
    assert not first.is_alive()
    assert lookout.end()


def test_directories_beyond_the_limit_of_watches_are_counted_and_scanned(
    root, watch, intake, monkeypatch, until
):
    """The library leaves them out without a word; health tells, and their files are found all the same."""
    for number in range(300):
        (root / f"d{number}").mkdir()
    granted = iter(range(100))

    def add_watch(descriptor, path, mask):
        if next(granted, None) is None:
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return system_add_watch(descriptor, path, mask)

    system_add_watch = inotify_c.inotify_add_watch
    monkeypatch.setattr(inotify_c, "inotify_add_watch", add_watch)
    folder = watch(rescan=0.2)
    until(lambda: folder.health().is_idle)
    health = folder.health()
    assert "200 directories bring no events" in health.detail or "201 directories" in health.detail
    assert "should be 1048576" in health.detail
    assert (health.watches, health.directories) == (100, 301)
    assert health.watch_limit == limits.max_user_watches()
    for number in range(300):
        (root / f"d{number}" / "file").touch()
    until(lambda: len({file.path for file in intake.files}) == 300)
    assert folder.health().healthy


def test_watches_are_set_when_the_limit_was_raised(root, watch, intake, monkeypatch, until):
    """Nobody has to restart attachd after `sysctl --system`, and the scan that follows finds the rest."""
    for number in range(5):
        (root / f"d{number}").mkdir()
    granted = [iter(range(3))]
    system_add_watch = inotify_c.inotify_add_watch

    def add_watch(descriptor, path, mask):
        if next(granted[0], None) is None:
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return system_add_watch(descriptor, path, mask)

    monkeypatch.setattr(inotify_c, "inotify_add_watch", add_watch)
    monkeypatch.setattr(limits, "max_user_watches", lambda: 3)
    folder = watch(rescan=3600.0)
    until(lambda: folder.health().is_idle)
    assert "max_user_watches is 3 and should be 1048576" in folder.health().detail
    granted[0] = iter(range(100))
    monkeypatch.setattr(limits, "max_user_watches", lambda: 100)
    until(lambda: folder.health().watches == 6 and folder.health().is_idle)
    assert folder.health().detail == ""
    (root / "d4" / "a").touch()
    until(lambda: intake.paths == ["d4/a"])
    assert folder.health().found_by_hint == 1


def test_the_limit_to_set_leaves_room():
    """At least what systemd/ ships, twice what is needed, and more than there is, which others use up."""
    assert limits.wanted(10) == limits.RECOMMENDED
    assert limits.wanted(10, 8192) == limits.RECOMMENDED
    assert limits.wanted(10, limits.RECOMMENDED) == 2 * limits.RECOMMENDED
    assert limits.wanted(3_000_000) == 8 * limits.RECOMMENDED
    shipped = Path(__file__).parents[2] / "systemd" / "sysctl.d"
    text = "".join(file.read_text() for file in shipped.iterdir())
    assert f"fs.inotify.max_user_watches = {limits.RECOMMENDED}" in text


def test_a_system_without_limits_has_none(monkeypatch, tmp_path):
    """A kernel without inotify's files says nothing."""
    monkeypatch.setattr(limits, "_OF_THE_MACHINE", tmp_path / "missing")
    monkeypatch.setattr(limits, "_OF_THE_NAMESPACE", tmp_path / "missing")
    assert limits.max_user_watches() is None


def test_a_folder_that_cannot_be_watched_is_scanned(root, watch, intake, monkeypatch, until):
    """No watch to be had at all: the reason stands in health, and the watch is tried again."""
    system_init = inotify_c.inotify_init

    def refuse():
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_init", refuse)
    folder = watch(rescan=0.1)
    until(lambda: folder.health().is_idle)
    health = folder.health()
    assert (health.watch, health.healthy) == ("scan", True)
    assert "max_user_instances" in health.detail
    (root / "a").touch()
    until(lambda: intake.paths == ["a"])
    monkeypatch.setattr(inotify_c, "inotify_init", system_init)
    until(lambda: folder.health().watch == "events")
    assert folder.health().detail == ""


def test_a_lost_watch_is_set_anew_and_what_it_missed_is_found(root, watch, intake, monkeypatch, until):
    """The reason stands in health until events come again, and a scan runs at once."""
    folder = watch(rescan=3600.0)
    until(lambda: folder.health().is_idle)
    system_handle = events.InotifyFD.handle_event

    def fail_once(self, event):
        monkeypatch.setattr(events.InotifyFD, "handle_event", system_handle)
        raise KeyError("provoked")

    lost = folder._lookout._events._queue
    monkeypatch.setattr(events.InotifyFD, "handle_event", fail_once)
    (root / "missed").touch()
    until(lambda: intake.paths == ["missed"])
    until(lambda: folder._lookout._events._queue not in {lost, None})
    until(lambda: folder.health().is_idle)
    assert (folder.health().watch, folder.health().detail) == ("events", "")
    (root / "told").touch()
    until(lambda: intake.paths == ["missed", "told"])
    assert folder.health().found_by_hint == 1


def test_a_full_mailbox_drops_hints_and_wants_a_scan():
    """Hints are bounded; what is dropped is found by the scan."""
    mailbox = Mailbox(capacity=2)
    for path in ("a", "b", "a"):
        mailbox.put(path)
    assert not mailbox.take_hints_lost()
    mailbox.put("c")
    assert mailbox.take_hints_lost()
    assert not mailbox.take_hints_lost()
    assert mailbox.take_scan_wanted()
    assert mailbox.take_hints(1) == [("a", False)]
    assert mailbox.take_hints(9) == [("b", False)]
    assert not mailbox.has_post


def test_directories_go_before_files():
    """The oldest first among each; a limit holds for both together, and so does what there is room for."""
    mailbox = Mailbox(capacity=4)
    for path, is_directory in (("a", False), ("b", True), ("c", False), ("d", True), ("e", True)):
        mailbox.put(path, is_directory=is_directory)
    assert (mailbox.take_hints_lost(), mailbox.take_hints(0)) == (1, [])
    assert mailbox.take_hints(3) == [("b", False), ("d", False), ("a", False)]
    assert mailbox.has_post
    mailbox.clear()
    assert not mailbox.has_post


def test_a_doubt_is_not_lost_among_plain_hints():
    """One doubting hint is enough, before or after the others."""
    mailbox = Mailbox()
    mailbox.put("a", doubted=True)
    mailbox.put("a")
    mailbox.put("b")
    mailbox.put("b", doubted=True)
    assert mailbox.take_hints(9) == [("a", True), ("b", True)]


def test_missed_hints_bring_the_next_scan_closer_and_quiet_scans_let_it_drift_back():
    """Never below ten seconds, nor below a shorter `rescan`."""
    assert next_pause(300.0, missed=True) == 150.0
    assert next_pause(15.0, missed=True) == SHORTEST_PAUSE
    assert next_pause(5.0, missed=True) == 5.0
    assert next_pause(150.0, missed=False) == 300.0
