import os
import sqlite3

import pytest

from attachd.errors import InvariantBroken
from attachd.ledger import folders
from attachd.model import ErrorKind, Signs, Standing, State


class TestFolders:
    """What any ledger promises about folders and files; the `ledger` fixture says which one is meant."""

    def test_folder_is_remembered_as_it_was_first_seen(self, desk):
        """A folder keeps its id, first start and file system over later starts."""
        again = desk.ledger.open_folder("/srv/drop", "nfs4", desk.later(99))
        assert again == desk.folder
        assert desk.ledger.open_folder("/srv/other", "xfs", desk.now()).id != desk.folder.id

    def test_first_scan_is_noted_once_for_its_folder(self, desk):
        """The end of a first scan outlives the run."""
        other = desk.ledger.open_folder("/srv/other", "ext4", desk.now())
        desk.ledger.finish_first_scan(desk.folder.id)
        assert desk.ledger.open_folder("/srv/drop", "ext4", desk.now()).first_scan_done
        assert not desk.ledger.open_folder(other.path, "ext4", desk.now()).first_scan_done

    def test_a_full_directory_is_not_handed_out_as_a_whole(self, desk, monkeypatch):
        """Beyond the limit only names that are asked for are told, escaped ones among them."""
        monkeypatch.setattr(folders, "KNOWN_AT_ONCE", 2)
        signs = desk.signs()
        of_sign = (signs.size, signs.mtime_ns, signs.ctime_ns)
        for name in ("a.jpg", "back\\slash", "caf\udce9"):
            desk.record(f"full/{name}", desk.plan(target=str(len(name))), signs=signs)
        assert desk.ledger.known(desk.folder.id, "full") is None
        some = desk.ledger.known_among(desk.folder.id, "full", ["a.jpg", "back\\slash", "caf\udce9", "no"])
        assert some == {("a.jpg", *of_sign), ("back\\slash", *of_sign), ("caf\udce9", *of_sign)}
        monkeypatch.setattr(folders, "KNOWN_AT_ONCE", 3)
        assert desk.ledger.known(desk.folder.id, "full") == some

    @pytest.mark.parametrize("at_once", [0, 100])
    def test_only_the_newest_version_of_a_file_is_known(self, desk, monkeypatch, at_once):
        """An older one that comes back with its very signs, in a directory moved back, is to be looked at."""
        monkeypatch.setattr(folders, "KNOWN_AT_ONCE", at_once)
        first, second, third = desk.signs(1), desk.signs(2), desk.signs(3)
        desk.record("d/a.jpg", desk.plan(target="1"), signs=first)
        desk.record("d/a.jpg", desk.plan(target="1"), signs=second)
        desk.record("d/b.jpg", desk.plan(target="2"), signs=third)

        def known():
            found = desk.ledger.known(desk.folder.id, "d")
            return (
                desk.ledger.known_among(desk.folder.id, "d", ["a.jpg", "b.jpg"]) if found is None else found
            )

        def of(name, signs):
            return (name, signs.size, signs.mtime_ns, signs.ctime_ns)

        assert known() >= {of("a.jpg", second), of("b.jpg", third)}
        assert of("a.jpg", first) not in known()
        desk.ledger.gone(desk.folder.id, "d/a.jpg", desk.now())
        assert known().isdisjoint({of("a.jpg", first), of("a.jpg", second)})

    @pytest.mark.usefixtures("ledger")
    def test_names_of_a_full_directory_are_looked_up_one_by_one(self, path):
        """Reading all of it for each batch of names would take minutes where there are 100,000 files."""
        with sqlite3.connect(path) as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {folders._KNOWN_AMONG}", (1, "d", "[]")).fetchall()
        assert any("PRIMARY KEY (directory_id=? AND name=?)" in step[-1] for step in plan), plan

    def test_file_system_is_noted_where_it_is_another_one(self, desk):
        """A folder may be mounted from elsewhere one day; what is noted outlives the run."""
        other = desk.ledger.open_folder("/srv/other", "ext4", desk.now())
        desk.ledger.note_filesystem(desk.folder.id, "nfs4")
        assert desk.ledger.open_folder("/srv/drop", "nfs4", desk.now()).filesystem == "nfs4"
        assert desk.ledger.open_folder("/srv/other", "ext4", desk.now()) == other

    def test_parked_files_are_given_by_themselves(self, desk):
        """Only they are looked at again without any event; nobody else's are given."""
        other = desk.ledger.open_folder("/srv/other", "ext4", desk.now())
        desk.record("a/cut.jpg", standing=Standing.PARKED)
        desk.record("b.jpg", standing=Standing.PARKED, folder=other)
        desk.record("note.txt")
        desk.drop("whole.jpg")
        assert list(desk.ledger.parked_paths(desk.folder.id)) == ["a/cut.jpg"]

    def test_known_lists_one_directory_and_nothing_below_it(self, desk):
        """A scan compares one directory at a time."""
        signs = desk.signs()
        desk.record("top.txt", signs=signs)
        desk.record("a/one.jpg", desk.plan(), signs=signs)
        desk.record("a/b/two.jpg", desk.plan(), signs=signs)
        of_sign = (signs.size, signs.mtime_ns, signs.ctime_ns)
        assert desk.ledger.known(desk.folder.id, "") == {("top.txt", *of_sign)}
        assert desk.ledger.known(desk.folder.id, "a") == {("one.jpg", *of_sign)}
        assert desk.ledger.known(desk.folder.id, "never/seen") == set()

    def test_names_that_are_no_text_come_back_byte_for_byte(self, desk, path):
        """Bytes that are not UTF-8, backslashes and look-alikes of escapes survive the ledger exactly."""
        names = [os.fsdecode(raw) for raw in (b"d\xff/\xfe\x80.jpg", b"d\xff/\\xfe.jpg", b"d\xff/a\\b\n.jpg")]
        for name in names:
            desk.record(name, desk.plan())
        assert sorted(each.path for each in desk.claim().values()) == sorted(names)
        known = {name for name, *_ in desk.ledger.known(desk.folder.id, os.fsdecode(b"d\xff"))}
        assert known == {name.rpartition("/")[2] for name in names}
        assert desk.ledger.latest(desk.folder.id, names[0]).path == names[0]
        with sqlite3.connect(path) as stranger:
            stored = {row[0] for row in stranger.execute("SELECT name FROM files")}
        stranger.close()
        assert r"\xfe\x80.jpg" in stored

    def test_existing_files_are_recorded_and_known_ones_left_alone(self, desk, reports):
        """Files from before the first start need nothing; a second pass after a crash changes nothing."""
        desk.record("mine.jpg", desk.plan())
        there = [("old/a.jpg", desk.signs()), ("old/b.jpg", desk.signs()), ("mine.jpg", desk.signs(99))]
        desk.ledger.record_existing(desk.folder.id, there, desk.now())
        desk.ledger.record_existing(desk.folder.id, there, desk.now())
        assert desk.ledger.latest(desk.folder.id, "old/a.jpg").standing is Standing.EXISTING
        assert desk.ledger.latest(desk.folder.id, "mine.jpg").standing is Standing.MATCHED
        assert {(each.state, each.count) for each in reports.counts()} == {("existing", 2), ("ready", 1)}

    def test_pending_paths_are_those_whose_absence_matters(self, desk):
        """Ready and waiting deliveries, unmatched and parked files; not what is done, held or existing."""
        for name in ("done", "held", "waiting"):
            desk.drop(f"{name}.jpg", target=name)
        done, held, waiting = desk.claim().values()
        assert desk.move(done, State.DONE)
        desk.hold(held)
        assert desk.move(waiting, State.WAITING)
        desk.drop("sub/ready.jpg")
        desk.record("unmatched.txt")
        desk.record("parked.jpg", standing=Standing.PARKED)
        desk.ledger.record_existing(desk.folder.id, [("existing.jpg", desk.signs())], desk.now())
        elsewhere = desk.ledger.open_folder("/srv/other", "ext4", desk.now())
        desk.record("not-ours.txt", folder=elsewhere)
        pending = sorted(desk.ledger.pending_paths(desk.folder.id))
        assert pending == ["parked.jpg", "sub/ready.jpg", "unmatched.txt", "waiting.jpg"]
        assert list(desk.ledger.parked_paths(desk.folder.id)) == ["parked.jpg"]
        assert sorted(desk.ledger.noted_paths(desk.folder.id)) == ["parked.jpg", "unmatched.txt"]

    def test_pending_paths_are_streamed_over_many_pages(self, desk, monkeypatch):
        """Paging neither loses nor doubles a path, also among files recorded at the same moment."""
        monkeypatch.setattr("attachd.ledger.folders.PAGE", 3)
        at = desk.now()
        desk.now = lambda: at
        names = {f"d{number % 2}/{number}.jpg" for number in range(10)}
        for name in names:
            desk.record(name, desk.plan(target=name))
            desk.record(f"{name}.txt")
        pending = list(desk.ledger.pending_paths(desk.folder.id))
        assert sorted(pending) == sorted(names | {f"{name}.txt" for name in names})


class TestVersions:
    """What becomes of the versions at one path."""

    def test_new_file_gets_its_deliveries(self, desk, reports):
        """Each plan becomes a ready delivery of version 1, with a line of history."""
        ids = desk.record("a.jpg", desk.plan(), desk.plan(to="glue", rule="reports"), sha256="cd" * 32)
        assert len(ids) == 2
        first, second = (reports.entry(each) for each in ids)
        assert (first.state, first.version, first.sha256) == ("ready", 1, "cd" * 32)
        assert (second.destination, second.rule, second.target) == ("glue", "reports", {"run_step": "42"})
        assert [(row.before, row.after, row.by) for row in reports.history(ids[0])] == [
            (None, "ready", "intake")
        ]

    def test_same_signs_are_known_already(self, desk):
        """A file that is reported twice is recorded once."""
        signs = desk.signs()
        assert desk.record("a.jpg", desk.plan(), signs=signs)
        assert desk.record("a.jpg", desk.plan(), signs=signs) == []
        assert desk.ledger.latest(desk.folder.id, "a.jpg").version == 1

    def test_newer_bytes_supersede_what_is_not_delivered(self, desk, state, reports):
        """Ready, waiting and held ones give way, active ones are left to their worker, done ones stay."""
        plans = [desk.plan(target=name) for name in ("done", "held", "waiting", "active", "ready")]
        ids = desk.record("a.jpg", *plans)
        done, held, waiting, _active = desk.claim(limit=4).values()
        assert desk.move(done, State.DONE)
        desk.hold(held)
        assert desk.move(waiting, State.WAITING)
        desk.record("a.jpg", desk.plan(target="ready"))
        assert [state(each) for each in ids] == ["done", "superseded", "superseded", "active", "superseded"]
        assert reports.history(ids[4])[-1].detail == "newer bytes came (version 2)"

    def test_open_intent_is_never_superseded(self, desk, state):
        """A held delivery whose call was never answered stays, whatever comes."""
        delivery = desk.dropped("a.jpg")
        assert desk.ledger.record_intent(delivery, "register")
        desk.hold(delivery)
        desk.drop("a.jpg")
        assert state(delivery.id) == "held"

    def test_unmatched_file_is_judged_again_in_place(self, desk, reports):
        """New rules may take the file after all; it stays version 1 and keeps its day."""
        signs = desk.signs()
        desk.record("a.jpg", signs=signs)
        first_seen = desk.ledger.latest(desk.folder.id, "a.jpg").first_seen
        desk.record("a.jpg", signs=desk.signs(), standing=Standing.PARKED)
        (delivery_id,) = desk.record("a.jpg", desk.plan(), signs=signs)
        entry = reports.entry(delivery_id)
        assert (entry.version, entry.first_seen, entry.error) == (1, first_seen, None)
        assert {(each.state, each.count) for each in reports.counts()} == {("ready", 1)}

    def test_existing_file_that_changes_is_a_new_version(self, desk):
        """An ignored file of old is delivered once it changes, and not before."""
        signs = desk.signs()
        desk.ledger.record_existing(desk.folder.id, [("a.jpg", signs)], desk.now())
        assert desk.record("a.jpg", desk.plan(), signs=signs) == []
        assert desk.drop("a.jpg")
        assert desk.ledger.latest(desk.folder.id, "a.jpg").version == 2

    def test_unmatched_file_needs_a_reason(self, desk):
        """Nobody is told "unmatched" without the why."""
        desk.no_rule = None
        with pytest.raises(InvariantBroken, match="have_a_reason"):
            desk.record("a.jpg")

    def test_gone_file_vanishes_where_it_was_owed(self, desk, state, reports):
        """Ready and waiting deliveries vanish with a reason; held, active and done ones do not."""
        ids = desk.record("a.jpg", *(desk.plan(target=str(number)) for number in range(5)))
        done, held, waiting, _active = desk.claim(limit=4).values()
        assert desk.move(done, State.DONE)
        desk.hold(held)
        assert desk.move(waiting, State.WAITING)
        desk.ledger.gone(desk.folder.id, "a.jpg", desk.now())
        assert [state(each) for each in ids] == ["done", "held", "vanished", "active", "vanished"]
        assert reports.entry(ids[4]).error.kind is ErrorKind.UNREADABLE
        assert desk.ledger.latest(desk.folder.id, "a.jpg").standing is Standing.GONE

    def test_gone_file_that_comes_back_is_new(self, desk, state):
        """With all deliveries vanished the version is `gone`: even the same signs are a new version."""
        signs = desk.signs()
        (first,) = desk.record("a.jpg", desk.plan(), signs=signs)
        desk.ledger.gone(desk.folder.id, "a.jpg", desk.now())
        assert desk.ledger.known(desk.folder.id, "") == set()
        (second,) = desk.record("a.jpg", desk.plan(), signs=signs)
        assert (state(first), state(second)) == ("vanished", "ready")

    def test_worker_that_finds_no_file_makes_the_version_gone(self, desk):
        """The same holds where a worker, not a scan, saw that the file is gone."""
        delivery = desk.dropped("a.jpg")
        assert desk.move(delivery, State.VANISHED)
        assert desk.ledger.latest(desk.folder.id, "a.jpg").standing is Standing.GONE

    def test_gone_notes_are_forgotten(self, desk, reports):
        """Unmatched and parked files that are gone leave nothing behind; unknown paths do no harm."""
        desk.record("a.txt")
        desk.record("sub/b.jpg", standing=Standing.PARKED)
        for path in ("a.txt", "sub/b.jpg", "sub/never.jpg", "nowhere/never.jpg"):
            desk.ledger.gone(desk.folder.id, path, desk.now())
        assert desk.ledger.latest(desk.folder.id, "a.txt") is None
        assert list(reports.entries()) == []
        assert reports.counts() == []

    def test_newer_version_is_seen(self, desk):
        """A worker can ask whether its file was overtaken."""
        delivery = desk.dropped("sub/a.jpg")
        assert not desk.ledger.newer_version_exists(delivery)
        desk.drop("sub/a.jpg")
        assert desk.ledger.newer_version_exists(delivery)


class TestSameBytes:
    """A touched file with the same content is no new version, but another try."""

    def test_stuck_deliveries_go_again(self, desk, state):
        """Held ones and those that waited for a change go again; other waits and open intents stay."""
        ids = desk.record("a.jpg", *(desk.plan(target=str(n)) for n in range(4)), sha256="ab" * 32)
        changed, network, held, asked = desk.claim().values()
        seems_changed = desk.network.__class__(kind=ErrorKind.CHANGED, message="it changed")
        assert desk.move(changed, State.WAITING, error=seems_changed)
        assert desk.move(network, State.WAITING)
        desk.hold(held)
        assert desk.ledger.record_intent(asked, "register")
        desk.hold(asked)
        signs = desk.signs()
        assert desk.ledger.same_bytes(desk.folder.id, "a.jpg", signs, "ab" * 32, desk.now())
        assert [state(each) for each in ids] == ["ready", "waiting", "ready", "held"]
        latest = desk.ledger.latest(desk.folder.id, "a.jpg")
        assert (latest.version, latest.signs, latest.sha256) == (1, signs, "ab" * 32)

    def test_older_version_is_not_woken(self, desk, state):
        """What is left of an older version has nothing to do with the bytes that lie there now."""
        older = desk.dropped("a.jpg")
        desk.record("a.jpg", desk.plan(), sha256="ab" * 32)
        desk.hold(older)
        assert desk.ledger.same_bytes(desk.folder.id, "a.jpg", desk.signs(), "ab" * 32, desk.now())
        assert state(older.id) == "held"

    @pytest.mark.parametrize("before", ["nothing", "unknown bytes", "other bytes", "gone", "existing"])
    def test_other_version_is_not_taken_for_the_same(self, desk, before):
        """Nothing is written where the newest version is not the one that was hashed."""
        if before == "other bytes":
            desk.record("a.jpg", desk.plan(), sha256="cd" * 32)
        elif before == "unknown bytes":  # a worker may be reading the old ones at this moment
            desk.record("a.jpg", desk.plan())
        elif before == "gone":
            desk.record("a.jpg", desk.plan(), sha256="ab" * 32)
            desk.ledger.gone(desk.folder.id, "a.jpg", desk.now())
        elif before == "existing":
            desk.ledger.record_existing(desk.folder.id, [("a.jpg", desk.signs())], desk.now())
        was = desk.ledger.latest(desk.folder.id, "a.jpg")
        signs = Signs(size=1, mtime_ns=1, ctime_ns=1)
        assert not desk.ledger.same_bytes(desk.folder.id, "a.jpg", signs, "ab" * 32, desk.now())
        assert desk.ledger.latest(desk.folder.id, "a.jpg") == was
