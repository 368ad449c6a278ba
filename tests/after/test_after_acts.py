import errno
import hashlib
import os
import stat
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from attachd.core.afters import AfterKind, PlannedAfter
from attachd.core.protocols import Change
from attachd.folders import copying, moving
from attachd.ledger.reports import Reports
from attachd.model import ErrorInfo, ErrorKind, Signs, State

DELETE = PlannedAfter(rule="photos", kind=AfterKind.DELETE)


def move(target) -> PlannedAfter:
    return PlannedAfter(rule="photos", kind=AfterKind.MOVE, target=str(target))


def test_an_attached_file_is_deleted(stage):
    """`delete` removes the file, and its directory stays."""
    delivery = stage.attached("st/1.jpg", DELETE)
    stage.finish()
    assert stage.tree() == {}
    assert (stage.drop / "st").is_dir()
    assert stage.after(delivery) == ("done", "deleted")


def test_a_file_is_moved_with_its_bytes_mode_and_time(stage):
    """A move makes the directories it needs and keeps mtime and mode."""
    file = stage.put("st/1.jpg")
    file.chmod(0o640)
    os.utime(file, ns=(1_600_000_000_123_456_789, 1_500_000_000_123_456_789))
    (delivery,) = stage.record("st/1.jpg", move(stage.directory / "sent/st/a/1.jpg"))
    stage.attach()
    stage.finish()
    moved = stage.directory / "sent/st/a/1.jpg"
    assert stage.tree() == {"sent/st/a/1.jpg": b"delivered"}
    assert moved.stat().st_mtime_ns == 1_500_000_000_123_456_789
    assert stat.S_IMODE(moved.stat().st_mode) == 0o640
    assert stage.after(delivery) == ("done", f"moved to {moved}")


def test_a_file_is_moved_across_file_systems(stage, elsewhere):
    """Across file systems the bytes, the mode and the time arrive as well, and nothing else stays behind."""
    content = os.urandom(2_500_000)
    file = stage.put("1.jpg", content)
    file.chmod(0o600)
    os.utime(file, ns=(10**18, 1_500_000_000_123_456_789))
    (delivery,) = stage.record("1.jpg", move(elsewhere / "sent/1.jpg"))
    stage.attach()
    stage.finish()
    moved = elsewhere / "sent/1.jpg"
    assert stage.tree() == {}
    assert list((elsewhere / "sent").iterdir()) == [moved]
    assert moved.read_bytes() == content
    assert moved.stat().st_mtime_ns == 1_500_000_000_123_456_789
    assert stat.S_IMODE(moved.stat().st_mode) == 0o600
    assert stage.after(delivery)[0] == "done"


def test_a_file_is_moved_between_two_mounts_of_one_file_system(stage, tmp_path):
    """A bind mount has the same device number and refuses a rename all the same: the file is copied."""
    behind = tmp_path / "behind"
    behind.mkdir()
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(["mount", "--bind", str(behind), str(place)], capture_output=True, check=False)
    if done.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must be able to mount")
        pytest.skip("no right to mount here")
    try:
        delivery = stage.attached("1.jpg", move(place / "1.jpg"))
        stage.finish()
        assert stage.after(delivery)[0] == "done"
        assert (behind / "1.jpg").read_bytes() == b"delivered"
        assert list(stage.drop.iterdir()) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("across", [False, True])
def test_a_taken_name_gets_a_number(stage, elsewhere, across):
    """A move never overwrites: the next free name is used, and what lay there stays as it was."""
    place = (elsewhere if across else stage.directory) / "sent"
    place.mkdir()
    (place / "1.tar.gz").write_bytes(b"another")
    (place / "1.tar (2).gz").symlink_to("nowhere")
    delivery = stage.attached("1.tar.gz", move(place / "1.tar.gz"))
    stage.finish()
    assert (place / "1.tar.gz").read_bytes() == b"another"
    assert (place / "1.tar (3).gz").read_bytes() == b"delivered"
    assert stage.after(delivery) == ("done", f"moved to {place}/1.tar (3).gz")
    assert len(list(place.iterdir())) == 3


@pytest.mark.parametrize("across", [False, True])
def test_a_name_that_is_taken_at_the_last_moment_is_left_alone(stage, elsewhere, across, monkeypatch):
    """Another program that takes the chosen name between its choice and the move keeps its file."""
    place = (elsewhere if across else stage.directory) / "sent"
    delivery = stage.attached("1.jpg", move(place / "1.jpg"))
    choose = stage.mover.choose

    def choose_too_late(target):
        chosen = choose(target)
        if chosen.endswith("/1.jpg"):
            Path(chosen).write_bytes(b"another")
        return chosen

    monkeypatch.setattr(stage.mover, "choose", choose_too_late)
    stage.finish()
    files = {path.name: path.read_bytes() for path in place.iterdir()}
    assert files == {"1.jpg": b"another", "1 (2).jpg": b"delivered"}
    assert stage.after(delivery)[0] == "done"
    assert list(stage.drop.iterdir()) == []


def test_it_waits_for_every_delivery(stage):
    """Two rules, two deliveries: nothing is done while one of them is not attached."""
    stage.put("1.jpg")
    first, second = stage.record("1.jpg", DELETE, "1", "2")
    stage.attach(but=second)
    stage.finish()
    assert stage.tree() == {"drop/1.jpg": b"delivered"}
    assert stage.after(first)[0] == "planned"
    stage.ledger.recover("run 2", stage.clock.now())
    stage.attach()
    stage.finish()
    assert stage.tree() == {}
    assert stage.after(first)[0] == stage.after(second)[0] == "done"


def test_a_dismissed_delivery_keeps_the_file(stage):
    """What a person said is not needed is not attached: the file stays."""
    stage.put("1.jpg")
    first, second = stage.record("1.jpg", DELETE, "1", "2")
    stage.attach(but=second)
    stage.ledger.recover("run 2", stage.clock.now())
    claimed = stage.ledger.claim("ion", "run 2", stage.clock.now(), 9)[0]
    error = ErrorInfo(kind=ErrorKind.PERMISSION, message="no")
    assert stage.ledger.change(claimed, Change(to=State.HELD, at=stage.clock.now(), by="run 2", error=error))
    held = replace(claimed, state=State.HELD, run=None)
    assert stage.ledger.change(held, Change(to=State.DISMISSED, at=stage.clock.now(), by="dismiss"))
    stage.finish()
    assert stage.after(first)[0] == "planned"
    assert stage.tree() == {"drop/1.jpg": b"delivered"}


def test_a_duplicate_is_acted_on_as_well(stage):
    """A follower whose elder is attached is attached too: its file goes its own way."""
    elder = stage.attached("1.jpg", DELETE)
    twin = stage.attached("2.jpg", move(stage.directory / "sent/2.jpg"))
    stage.finish()
    assert stage.after(elder)[0] == stage.after(twin)[0] == "done"
    assert stage.tree() == {"sent/2.jpg": b"delivered"}


@pytest.mark.parametrize("after", [DELETE, "move"])
def test_other_bytes_are_left_alone(stage, after):
    """A file that changed after it was attached stays where it is, also with size and mtime as before."""
    after = move(stage.directory / "sent/1.jpg") if after == "move" else after
    delivery = stage.attached("1.jpg", after)
    facts = (stage.drop / "1.jpg").stat()
    stage.put("1.jpg", b"DELIVERED")
    os.utime(stage.drop / "1.jpg", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    stage.finish()
    assert stage.tree() == {"drop/1.jpg": b"DELIVERED"}
    assert stage.after(delivery)[0] == "skipped"


def test_a_touched_file_with_the_same_bytes_is_acted_on(stage):
    """Where only the signs changed, the hash decides."""
    delivery = stage.attached("1.jpg", DELETE)
    os.utime(stage.drop / "1.jpg", ns=(5, 5))
    stage.finish()
    assert stage.after(delivery)[0] == "done"
    assert stage.tree() == {}


def test_another_file_in_its_place_is_left_alone(stage, monkeypatch):
    """A file that takes the path between the look and the rename gets its name back and stays."""
    delivery = stage.attached("1.jpg", DELETE)

    verified = moving._verified

    def verified_too_early(descriptor, action):
        facts = verified(descriptor, action)
        newcomer = stage.put("new.jpg", b"newcomer")
        newcomer.rename(stage.drop / "1.jpg")
        monkeypatch.setattr(moving, "_verified", verified)
        return facts

    action = stage.ledger.afters.due([stage.folder.id], stage.clock.now())
    stage.mover.verify(action)
    monkeypatch.setattr(moving, "_verified", verified_too_early)
    monkeypatch.setattr(stage.mover, "verify", lambda _: None)
    stage.finish()
    assert stage.tree() == {"drop/1.jpg": b"newcomer"}
    assert stage.after(delivery)[0] == "skipped"


@pytest.mark.parametrize("across", [False, True])
def test_a_file_that_is_written_while_it_is_away_comes_back(stage, elsewhere, across, monkeypatch):
    """A writer that has the file open writes to it between the rename and its end: nothing of it is lost."""
    after = move(elsewhere / "1.jpg") if across else DELETE
    delivery = stage.attached("1.jpg", after)
    rename = moving.rename_new

    with (stage.drop / "1.jpg").open("ab", buffering=0) as writer:

        def rename_and_write(source, name, there, new_name):
            rename(source, name, there, new_name)
            if new_name.startswith(".attachd-"):
                writer.write(b" and more")

        monkeypatch.setattr(moving, "rename_new", rename_and_write)
        stage.finish()
    assert stage.tree() == {"drop/1.jpg": b"delivered and more"}
    assert not (elsewhere / "1.jpg").exists()
    assert list(elsewhere.iterdir()) == []
    assert stage.after(delivery)[0] == "skipped"


def test_a_link_in_its_place_is_not_followed(stage):
    """A link at the path, or above it, leads nowhere: its target stays."""
    treasure = stage.directory / "treasure"
    treasure.mkdir()
    (treasure / "1.jpg").write_bytes(b"delivered")
    delivery = stage.attached("st/1.jpg", DELETE)
    (stage.drop / "st/1.jpg").unlink()
    (stage.drop / "st").rmdir()
    (stage.drop / "st").symlink_to(treasure)
    stage.finish()
    assert (treasure / "1.jpg").read_bytes() == b"delivered"
    assert stage.after(delivery)[0] == "skipped"


def test_a_file_that_is_gone_needs_nothing(stage):
    """A person was faster: that is no failure."""
    delivery = stage.attached("1.jpg", DELETE)
    (stage.drop / "1.jpg").unlink()
    stage.finish()
    assert stage.after(delivery) == ("skipped", "there is no file to act on any more")


def test_a_folder_that_is_out_says_nothing_about_its_files(stage):
    """While the folder is not there, its after-actions wait."""
    delivery = stage.attached("1.jpg", DELETE)
    stage.drop.rename(stage.directory / "away")
    stage.finish()
    assert stage.after(delivery)[0] == "planned"
    (stage.directory / "away").rename(stage.drop)
    stage.clock.ahead = 60
    stage.finish()
    assert stage.after(delivery)[0] == "done"


def test_no_move_leads_into_a_watched_folder(stage):
    """A link on the way of the target does not lead into the folder either; the file stays, visibly."""
    (stage.directory / "sent").symlink_to(stage.drop)
    delivery = stage.attached("1.jpg", move(stage.directory / "sent/deep/1.jpg"))
    stage.finish()
    state, detail = stage.after(delivery)
    assert state == "failed"
    assert "lies in the watched folder" in detail
    assert stage.tree() == {"drop/1.jpg": b"delivered"}
    assert not (stage.drop / "deep").exists()


def test_a_name_that_cannot_be_is_a_failure(stage):
    """A directory name of more than 255 bytes can never be made: the file stays, and says why."""
    delivery = stage.attached("1.jpg", move(stage.directory / ("x" * 300) / "1.jpg"))
    stage.finish()
    state, detail = stage.after(delivery)
    assert state == "failed"
    assert "ENAMETOOLONG" in detail
    assert stage.tree() == {"drop/1.jpg": b"delivered"}


def test_a_refusal_at_planning_is_a_failure_from_the_start(stage):
    """A path that can never be rendered is told at once and never tried."""
    stage.put("1.jpg")
    fault = PlannedAfter(rule="photos", kind=AfterKind.MOVE, target="/x//y", fault="an empty name")
    (delivery,) = stage.record("1.jpg", fault)
    assert stage.after(delivery) == ("failed", "an empty name")
    stage.attach()
    stage.finish()
    assert stage.tree() == {"drop/1.jpg": b"delivered"}


def test_a_name_that_is_not_utf8_is_kept_to_the_byte(stage, elsewhere):
    """Names are bytes: they arrive as they were."""
    name = os.fsdecode(b"caf\xe9 \\ {x}.jpg")
    target = str(elsewhere / "sent") + "/" + name.replace("{", "{{").replace("}", "}}")
    delivery = stage.attached(name, move(target))
    stage.finish()
    assert [os.fsencode(path.name) for path in (elsewhere / "sent").iterdir()] == [b"caf\xe9 \\ {x}.jpg"]
    assert stage.after(delivery)[0] == "done"
    assert "\\xe9 \\x5c {x}.jpg" in stage.after(delivery)[1]


def test_the_longest_names_are_moved(stage):
    """A name of 255 bytes leaves no room for a prefix or a number: both are made to fit."""
    name = "ä" * 125 + "x.jpg"
    assert len(name.encode()) == 255
    (stage.directory / "sent").mkdir()
    (stage.directory / "sent" / name).write_bytes(b"another")
    delivery = stage.attached(name, move(stage.directory / "sent" / name))
    stage.finish()
    assert stage.after(delivery)[0] == "done"
    assert sorted(stage.tree().values()) == [b"another", b"delivered"]


def test_the_hash_can_be_part_of_the_path(stage):
    """`{sha256}` is put in when the bytes have been read."""
    delivery = stage.attached("1.jpg", move(f"{stage.directory}/sent/{{sha256}}.jpg"))
    stage.finish()
    assert stage.after(delivery)[0] == "done"
    assert list(stage.tree()) == [f"sent/{hashlib.sha256(b'delivered').hexdigest()}.jpg"]


def test_zero_bytes_are_moved(stage, elsewhere):
    """An empty file is a file."""
    delivery = stage.attached("0.jpg", move(elsewhere / "0.jpg"), b"")
    stage.finish()
    assert stage.after(delivery)[0] == "done"
    assert (elsewhere / "0.jpg").read_bytes() == b""


def test_a_file_that_is_dropped_again_goes_the_same_way(stage):
    """The same bytes at the same path are attached already: they are acted on once more, not left lying."""
    delivery = stage.attached("1.jpg", move(stage.directory / "sent/1.jpg"))
    stage.finish()
    file = stage.put("1.jpg")
    sha256 = stage.ledger.latest(stage.folder.id, "1.jpg").sha256
    assert stage.ledger.same_bytes(stage.folder.id, "1.jpg", Signs.of(file.stat()), sha256, stage.clock.now())
    stage.finish()
    assert stage.tree() == {"sent/1.jpg": b"delivered", "sent/1 (2).jpg": b"delivered"}
    assert stage.after(delivery) == ("done", f"moved to {stage.directory}/sent/1 (2).jpg")


def test_newer_bytes_take_the_place_of_a_plan(stage):
    """The after-action of an overtaken version is skipped, and that of the new one runs."""
    stage.put("1.jpg")
    first, second = stage.record("1.jpg", DELETE, "1", "2")
    stage.put("1.jpg", b"newer bytes")
    third, _ = stage.record("1.jpg", DELETE, "1", "2")
    assert stage.after(first)[0] == stage.after(second)[0] == "skipped"
    assert stage.after(third)[0] == "planned"
    stage.attach()
    stage.finish()
    assert stage.after(third)[0] == "done"
    assert stage.tree() == {}


def test_a_delivery_that_is_added_stops_a_due_action(stage):
    """Where another delivery of the file is made before the action is taken, it waits for that one."""
    delivery = stage.attached("1.jpg", DELETE)
    action = stage.ledger.afters.due([stage.folder.id], stage.clock.now())
    add = (
        "INSERT INTO deliveries (folder_id, directory_id, name, version, rule, destination, target, filename,"
        " dedupe, state, detail, changed_by, created_at, updated_at) SELECT folder_id, directory_id, name,"
        " version, rule, destination, '{}', filename, 0, 'ready', '', 'x', created_at, updated_at"
        " FROM deliveries"
    )
    stage.ledger._writer.run(lambda connection: connection.execute(add).close())
    assert stage.ledger.afters.take(action, None, ".attachd-1-1.jpg", stage.clock.now()) is None
    assert stage.after(delivery)[0] == "planned"
    assert stage.ledger.afters.due([stage.folder.id], stage.clock.now()) is None
    stage.attach()
    stage.finish()
    assert stage.after(delivery)[0] == "done"


class TestTrouble:
    """What may pass is tried again with growing pauses, and never touches the delivery."""

    @pytest.fixture
    def read_only(self, tmp_path):
        place = tmp_path / "read-only"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], capture_output=True, check=False
        )
        if done.returncode == 0:
            yield place, lambda: subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
            subprocess.run(["umount", "-l", str(place)], check=True)
        elif os.geteuid() != 0:
            place.chmod(0o500)
            yield place, lambda: place.chmod(0o700)
            place.chmod(0o700)
        elif os.environ.get("CI") == "true":
            pytest.fail("CI must be able to mount")
        else:
            pytest.skip("root without the right to mount: nothing refuses it")

    def test_a_place_that_cannot_be_written_to_is_tried_again(self, stage, read_only):
        """The file stays under its name, `show` says why, the pauses grow, and it heals by itself."""
        place, heal = read_only
        delivery = stage.attached("1.jpg", move(place / "1.jpg"))
        before = (stage.drop / "1.jpg").stat().st_ctime_ns
        afters, folders, now = stage.ledger.afters, [stage.folder.id], stage.clock.now
        for pause in (1, 2, 4):
            stage.finish()
            state, detail = stage.after(delivery)
            assert state == "planned"
            assert "tried again" in detail
            assert str(place) in detail
            assert afters.left(folders, now()).later
            assert afters.due(folders, now()) is None
            stage.clock.ahead += pause
        assert (stage.drop / "1.jpg").stat().st_ctime_ns == before  # not even renamed there and back
        with Reports.open(stage.path) as reports:
            assert reports.entry(delivery).state == "done"
        heal()
        stage.clock.ahead += 100
        stage.finish()
        assert stage.after(delivery)[0] == "done"
        assert (place / "1.jpg").read_bytes() == b"delivered"

    def test_a_full_disk_leaves_the_file_under_its_name(self, stage, tmp_path):
        """A copy that finds no room is taken back, and so is the rename."""
        place = tmp_path / "small"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
        )
        if done.returncode:
            if os.environ.get("CI") == "true":
                pytest.fail("CI must be able to mount")
            pytest.skip("no right to mount here")
        try:
            content = os.urandom(300_000)
            delivery = stage.attached("1.jpg", move(place / "1.jpg"), content)
            stage.finish()
            assert "ENOSPC" in stage.after(delivery)[1]
            assert [path.name for path in stage.drop.iterdir()] == ["1.jpg"]
            assert list(place.iterdir()) == []
            subprocess.run(["mount", "-o", "remount,size=1m", str(place)], check=True)
            stage.clock.ahead = 60
            stage.finish()
            assert stage.after(delivery)[0] == "done"
            assert (place / "1.jpg").read_bytes() == content
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)

    def test_an_original_that_cannot_be_removed_goes_at_the_next_try(self, stage, elsewhere, monkeypatch):
        """A copy that has arrived is not made again: only the original, back under its name, has to go."""
        delivery = stage.attached("1.jpg", move(elsewhere / "1.jpg"))
        unlink = os.unlink

        def refuse(name, **named):
            if name == ".attachd-1-1.jpg":
                raise OSError(errno.EIO, "no")
            unlink(name, **named)

        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", refuse)
            stage.finish()
        assert stage.tree() == {"drop/1.jpg": b"delivered"}
        assert "EIO" in stage.after(delivery)[1]
        stage.clock.ahead = 60
        stage.finish()
        assert stage.tree() == {}
        assert [path.name for path in elsewhere.iterdir()] == ["1.jpg"]
        assert stage.after(delivery)[0] == "done"

    def test_a_file_where_a_directory_should_be(self, stage):
        """A file in the place of the target's directory is told, and once it is gone the move goes on."""
        (stage.directory / "sent").write_bytes(b"a file")
        delivery = stage.attached("1.jpg", move(stage.directory / "sent/1.jpg"))
        stage.finish()
        assert "ENOTDIR" in stage.after(delivery)[1]
        (stage.directory / "sent").unlink()
        stage.clock.ahead = 60
        stage.finish()
        assert stage.after(delivery)[0] == "done"

    def test_a_bug_does_not_stop_the_others(self, stage, monkeypatch):
        """An action that meets a bug of ours is tried again, and the next one is done."""
        stage.attached("1.jpg", DELETE)
        second = stage.attached("2.jpg", DELETE, b"two")
        real = stage.mover.verify

        def verify(action):
            if action.path == "1.jpg":
                raise ZeroDivisionError
            real(action)

        monkeypatch.setattr(stage.mover, "verify", verify)
        stage.finish()
        assert stage.after(second)[0] == "done"
        assert stage.after(1)[0] == "planned"
        assert "attachd itself failed: ZeroDivisionError" in stage.after(1)[1]


class TestThread:
    """The thread of the service."""

    def wait(self, condition):
        done = threading.Event()
        for _ in range(400):
            if condition():
                return
            done.wait(0.02)
        pytest.fail("not in 8 seconds")

    def test_it_acts_when_a_delivery_is_attached(self, stage):
        """A wake brings it at once; the file goes."""
        stage.finisher.start()
        stage.attached("1.jpg", DELETE)
        stage.finisher.wake()
        self.wait(lambda: not (stage.drop / "1.jpg").exists() and not stage.finisher.is_busy)
        assert stage.after(1)[0] == "done"
        assert not stage.finisher.is_behind

    def test_its_death_is_told(self, stage):
        """A ledger that cannot be read ends the thread, and the failure is there to see."""
        stage.finisher._ledger = None
        stage.finisher.start()
        stage.finisher.join(10)
        assert isinstance(stage.finisher.failure, AttributeError)

    def test_a_stop_ends_a_copy_and_the_next_start_makes_it(self, stage, elsewhere):
        """A copy under way ends at the next block; the file has its name back until the next start."""
        stage.finisher.stop()
        delivery = stage.attached("1.jpg", move(elsewhere / "1.jpg"))
        action = stage.ledger.afters.due([stage.folder.id], stage.clock.now())
        stage.finisher._attempt_guarded(action)
        assert stage.tree() == {"drop/1.jpg": b"delivered"}
        assert list(elsewhere.iterdir()) == []
        assert stage.after(delivery)[0] == "taken"
        stage.finisher._stop.clear()
        stage.finish()
        assert stage.after(delivery)[0] == "done"
        assert (elsewhere / "1.jpg").read_bytes() == b"delivered"


def test_a_superseded_delivery_counts_no_more(stage):
    """Other rules replaced one delivery: once the rest is attached, the file goes."""
    stage.put("1.jpg")
    first, second = stage.record("1.jpg", DELETE, "1", "2")
    claimed = {each.id: each for each in stage.ledger.claim("ion", "run 1", stage.clock.now(), 9)}
    stage.ledger.change(claimed[second], Change(to=State.SUPERSEDED, at=stage.clock.now(), by="reload"))
    stage.ledger.change(claimed[first], Change(to=State.READY, at=stage.clock.now(), by="run 1"))
    stage.finish()
    assert stage.after(first)[0] == "planned"
    stage.attach()
    stage.finish()
    assert stage.after(first)[0] == "done"


class TestRulesInForce:
    """What was planned when the file settled holds as long as the rules do."""

    def test_a_rule_that_keeps_by_now_is_obeyed(self, stage):
        """Whoever takes `delete` out of the rules finds that nothing is deleted from then on."""
        delivery = stage.attached("1.jpg", DELETE)
        stage.rules["1.jpg"] = None
        stage.finish()
        assert stage.tree() == {"drop/1.jpg": b"delivered"}
        assert stage.after(delivery) == ("skipped", "the rules in force let the file stay")

    def test_another_action_takes_its_place(self, stage):
        """A file is moved where the rules in force say."""
        delivery = stage.attached("1.jpg", DELETE)
        stage.rules["1.jpg"] = move(stage.directory / "sent/1.jpg")
        stage.finish()
        assert stage.tree() == {"sent/1.jpg": b"delivered"}
        assert stage.after(delivery) == ("done", f"moved to {stage.directory}/sent/1.jpg")

    def test_a_mended_rule_is_tried_at_the_next_start(self, stage):
        """What failed by its rule is done once the rule is right."""
        delivery = stage.attached("1.jpg", move(stage.drop / "again/1.jpg"))
        stage.finish()
        assert stage.after(delivery)[0] == "failed"
        stage.rules["1.jpg"] = DELETE
        stage.finish()
        assert stage.tree() == {"drop/1.jpg": b"delivered"}
        stage.ledger.afters.reconsider(stage.clock.now())
        stage.finish()
        assert stage.after(delivery)[0] == "done"
        assert stage.tree() == {}


class TestNeverRead:
    """A delivery that a person settled by a word may be of a file whose bytes attachd never read."""

    @pytest.fixture
    def settled(self, stage):
        def settle(after):
            stage.put("1.jpg")
            (delivery_id,) = stage.record("1.jpg", after)
            (delivery,) = stage.ledger.claim("ion", "run 1", stage.clock.now(), 9)
            error = ErrorInfo(kind=ErrorKind.TOO_LARGE, message="too large")
            held = Change(to=State.HELD, at=stage.clock.now(), by="run 1", error=error)
            assert stage.ledger.change(delivery, held)
            done = Change(to=State.DONE, at=stage.clock.now(), by="resolve", remote_id="9")
            assert stage.ledger.change(replace(delivery, state=State.HELD, run=None), done)
            return delivery_id

        return settle

    @pytest.mark.parametrize("across", [False, True])
    def test_its_signs_alone_tell(self, stage, elsewhere, settled, across):
        """With the signs it settled with it is the file."""
        place = elsewhere if across else stage.directory / "sent"
        delivery = settled(move(place / "1.jpg"))
        stage.finish()
        assert stage.after(delivery)[0] == "done"
        assert (place / "1.jpg").read_bytes() == b"delivered"
        assert list(stage.drop.iterdir()) == []

    def test_changed_signs_keep_it(self, stage, settled):
        """Nobody can say that a touched file has the same bytes."""
        delivery = settled(DELETE)
        os.utime(stage.drop / "1.jpg", ns=(5, 5))
        stage.finish()
        assert stage.after(delivery)[0] == "skipped"
        assert stage.tree() == {"drop/1.jpg": b"delivered"}

    def test_its_hash_is_not_known(self, stage, settled):
        """A path that asks for the hash cannot be made."""
        delivery = settled(move(f"{stage.directory}/sent/{{sha256}}"))
        stage.finish()
        assert stage.after(delivery)[0] == "failed"
        assert "never read the bytes" in stage.after(delivery)[1]


def test_names_that_are_always_taken_are_tried_again_later(stage, monkeypatch):
    """A program that takes every free name at once does not hold up the others for ever."""
    delivery = stage.attached("1.jpg", move(stage.directory / "sent/1.jpg"))
    choose = stage.mover.choose

    def choose_too_late(target):
        chosen = choose(target)
        Path(chosen).write_bytes(b"another")
        return chosen

    monkeypatch.setattr(stage.mover, "choose", choose_too_late)
    stage.finish()
    assert stage.after(delivery)[0] == "taken"
    assert "tried again" in stage.after(delivery)[1]
    assert stage.tree()["drop/1.jpg"] == b"delivered"
    monkeypatch.undo()
    stage.clock.ahead = 60
    stage.finish()
    assert stage.after(delivery)[0] == "done"
    assert [*stage.tree().values()].count(b"another") == len(stage.tree()) - 1


def test_an_empty_directory_in_the_place_of_a_share_proves_nothing(stage):
    """A folder that is not the one it was says nothing about its files: the action waits."""
    delivery = stage.attached("1.jpg", DELETE)
    (stage.drop / "1.jpg").rename(stage.directory / "1.jpg")
    stage.finisher._in_place = lambda _: False
    stage.finish()
    assert stage.after(delivery) == ("planned", "tried again by itself: its folder is out")


class TestLastMoments:
    """Writers that have the file open cannot be kept out: what they write is noticed to the last."""

    @pytest.mark.parametrize(("step", "across"), [("_remove", False), ("copy", True), ("_remove", True)])
    def test_what_is_written_at_the_last_moment_is_not_lost(
        self, stage, elsewhere, monkeypatch, step, across
    ):
        """Bytes that are added before the removal, or after the copy, keep the file in its place."""
        delivery = stage.attached("1.jpg", move(elsewhere / "1.jpg") if across else DELETE)
        real = getattr(moving, step)
        with (stage.drop / "1.jpg").open("ab", buffering=0) as writer:

            def write(*given):
                if step == "_remove":
                    writer.write(b" and more")
                real(*given)
                if step == "copy":
                    writer.write(b" and more")

            monkeypatch.setattr(moving, step, write)
            stage.finish()
        assert stage.tree() == {"drop/1.jpg": b"delivered and more"}
        assert stage.after(delivery)[0] == "skipped"
        if step == "copy":
            assert list(elsewhere.iterdir()) == []

    def test_a_copy_of_other_bytes_never_gets_its_name(self, stage, elsewhere, monkeypatch):
        """Bytes that change while they are copied, with size and mtime as before, are noticed by the hash."""
        delivery = stage.attached("1.jpg", move(elsewhere / "1.jpg"))
        copy_bytes = copying._copy_bytes

        def change_first(source, target, stops):
            facts = os.fstat(source)
            held = stage.drop / ".attachd-1-1.jpg"
            held.write_bytes(b"DELIVERED")
            os.utime(held, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            return copy_bytes(source, target, stops)

        monkeypatch.setattr(copying, "_copy_bytes", change_first)
        stage.finish()
        assert stage.tree() == {"drop/1.jpg": b"DELIVERED"}
        assert list(elsewhere.iterdir()) == []
        assert stage.after(delivery)[0] == "skipped"


def test_a_copy_that_arrived_counts_though_its_directory_is_gone(stage, elsewhere):
    """Between a crash and the next start somebody removed the emptied directory: the move is done."""
    delivery = stage.attached("st/1.jpg", move(elsewhere / "1.jpg"))
    action = stage.ledger.afters.due([stage.folder.id], stage.clock.now())
    chosen = stage.mover.choose(action.target)
    assert stage.ledger.afters.take(action, chosen, ".attachd-1-1.jpg", stage.clock.now())
    (elsewhere / "1.jpg").write_bytes(b"delivered")
    (stage.drop / "st/1.jpg").unlink()
    (stage.drop / "st").rmdir()
    stage.finish()
    assert stage.after(delivery) == ("done", f"moved to {elsewhere}/1.jpg")
    assert [path.name for path in elsewhere.iterdir()] == ["1.jpg"]


def test_a_fault_of_the_rules_in_force_is_a_failure(stage):
    """Where the rules in force can render no path, nothing is done, and it is told."""
    delivery = stage.attached("1.jpg", DELETE)
    stage.rules["1.jpg"] = PlannedAfter(rule="photos", kind=AfterKind.MOVE, target="/x", fault="no path")
    stage.finish()
    assert stage.after(delivery) == ("failed", "the file stays: no path")
    assert stage.tree() == {"drop/1.jpg": b"delivered"}
