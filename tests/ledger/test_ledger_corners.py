"""Corners of the ledger: files that come back, refusals, and what is left of other ledgers."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from attachd.core.afters import AfterKind, AfterState, PlannedAfter
from attachd.core.protocols import NewVersion, Place
from attachd.core.replanning import Judgement
from attachd.errors import LedgerError
from attachd.ledger.connection import is_begun
from attachd.ledger.persons import Word
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import ErrorInfo, ErrorKind, Standing, State


def word(desk):
    return Word(at=desk.now(), by="anna")


class TestComingBack:
    """A file that is gone and comes back before everything of it was delivered."""

    def test_what_had_vanished_is_delivered_though_another_target_has_the_file(self, desk, reports):
        """It is a new version: what is attached is not sent again, and what had vanished is."""
        done, _ = desk.record("a.jpg", desk.plan(target="1"), desk.plan(target="2"))
        delivery = desk.claim(limit=1)[done]
        desk.identify(delivery)
        assert desk.move(delivery, State.DONE)
        desk.ledger.gone(desk.folder.id, "a.jpg", desk.now())
        assert not desk.ledger.same_bytes(desk.folder.id, "a.jpg", desk.signs(), "ab" * 32, desk.now())
        assert desk.ledger.known(desk.folder.id, "") == set()
        again = desk.record("a.jpg", desk.plan(target="1"), desk.plan(target="2"))
        places = [desk.identify(each) for each in desk.claim().values()]
        assert places == [Place.ATTACHED, Place.FIRST]
        assert [reports.entry(each).version for each in again] == [2, 2]

    @pytest.mark.parametrize(
        ("standing", "kind", "newer"),
        [
            (Standing.MATCHED, None, True),
            (Standing.UNMATCHED, ErrorKind.NO_RULE, True),
            (Standing.UNMATCHED, ErrorKind.NOT_REGULAR, False),
            (Standing.PARKED, ErrorKind.NOT_COMPLETE, False),
            (Standing.EXISTING, ErrorKind.CHANGED, True),
        ],
    )
    def test_newer_bytes_that_no_rule_wants_end_the_older_delivery(self, desk, standing, kind, newer):
        """A worker with the older bytes need not wait for newer ones that will never be delivered."""
        delivery = desk.dropped("a.jpg")
        new = NewVersion(
            folder_id=desk.folder.id,
            path="a.jpg",
            signs=desk.signs(),
            standing=standing,
            planned=[desk.plan()] if standing is Standing.MATCHED else [],
            reason=ErrorInfo(kind=kind, message="why") if kind else None,
        )
        desk.ledger.record(new, desk.now())
        assert desk.ledger.newer_version_exists(delivery) is newer

    def test_something_else_in_its_place_leaves_a_held_delivery_to_its_person(self, desk, state):
        """What waits vanishes; what is held stays held, for it cannot vanish."""
        held, waiting = desk.record("a.jpg", desk.plan(target="1"), desk.plan(target="2"))
        desk.hold(desk.claim(limit=1)[held])
        link = NewVersion(
            folder_id=desk.folder.id,
            path="a.jpg",
            signs=desk.signs(),
            standing=Standing.UNMATCHED,
            reason=ErrorInfo(kind=ErrorKind.NOT_REGULAR, message="a link"),
        )
        desk.ledger.record(link, desk.now())
        assert (state(held), state(waiting)) == ("held", "vanished")


class TestPersons:
    def test_what_was_dismissed_in_doubt_is_settled_by_a_word(self, desk, state):
        """It goes again only once a person says that it is not attached."""
        delivery = desk.dropped("a.jpg")
        desk.doubt(delivery)
        assert desk.move(desk.ledger.doubtful("ion")[0], State.HELD)
        assert desk.ledger.dismiss([delivery.id], word(desk)).done
        assert desk.ledger.retry([delivery.id], desk.now(), "anna").retried == []
        assert desk.ledger.resolve(delivery.id, None, word(desk)).done
        assert state(delivery.id) == "ready"

    def test_a_follower_is_not_sent_in_place_of_its_elder(self, desk):
        """Its elder is the one to be resolved."""
        elder, follower = desk.pair()
        desk.hold(elder)
        refused = desk.ledger.resolve(follower.id, None, word(desk)).refused[follower.id]
        assert f"delivery {elder.id} with the same bytes goes first" in refused

    def test_what_is_gone_or_sent_anew_already_is_not_sent_anew(self, desk):
        """A file that is not there cannot be sent, and one wish is one delivery."""
        done, other = desk.record("a.jpg", desk.plan(target="1"), desk.plan(target="2"))
        delivery = desk.claim(limit=1)[done]
        assert desk.move(delivery, State.DONE)
        assert desk.ledger.send_anew([done], word(desk)).done
        assert "anew already" in desk.ledger.send_anew([done], word(desk)).refused[done]
        desk.ledger.gone(desk.folder.id, "a.jpg", desk.now())
        assert "gone" in desk.ledger.send_anew([done], word(desk)).refused[done]
        assert other not in desk.claim()

    def test_what_is_attached_is_not_resolved(self, desk):
        """There is no doubt about it, and that is said."""
        delivery = desk.dropped("a.jpg")
        assert desk.move(delivery, State.DONE)
        refused = desk.ledger.resolve(delivery.id, None, word(desk)).refused[delivery.id]
        assert "attached already" in refused


class TestAfterActions:
    def attached(self, desk):
        """Record a file that is deleted once it is attached, and attach it."""
        desk.record("a.jpg", desk.plan(), after=PlannedAfter(rule="photos", kind=AfterKind.DELETE))
        (delivery,) = desk.claim().values()
        assert desk.move(delivery, State.DONE)
        return delivery, desk.ledger.afters.due([desk.folder.id], desk.now())

    def test_a_file_that_was_taken_away_is_not_sent_anew(self, desk):
        """What `after` did with it is the reason."""
        delivery, action = self.attached(desk)
        desk.ledger.afters.take(action, None, ".attachd-1-a.jpg", desk.now())
        refused = desk.ledger.send_anew([delivery.id], word(desk)).refused[delivery.id]
        assert "`after: delete` has taken its file away" in refused

    def test_a_new_wish_puts_an_action_off(self, desk):
        """A delivery that is sent anew needs the file: the action that was due is not taken, and waits."""
        delivery, action = self.attached(desk)
        assert desk.ledger.send_anew([delivery.id], word(desk)).done
        assert desk.ledger.afters.take(action, None, ".attachd-1-a.jpg", desk.now()) is None
        assert desk.ledger.afters.due([desk.folder.id], desk.now()) is None

    def test_what_failed_is_tried_once_more_at_a_start(self, desk):
        """The rules may have been mended since."""
        _, action = self.attached(desk)
        desk.ledger.afters.finish(action, AfterState.FAILED, "no leave", desk.now())
        assert desk.ledger.afters.due([desk.folder.id], desk.now()) is None
        desk.ledger.afters.reconsider(desk.now())
        assert desk.ledger.afters.due([desk.folder.id], desk.now()).id == action.id


class TestJudgingAnew:
    def test_deliveries_at_rest_are_read_again_with_their_file(self, desk):
        """What a worker had during a reload is judged when it has ended, by what it is then."""
        ids = desk.record("a.jpg", desk.plan(target="1"), desk.plan(target="2"))
        (file,) = desk.ledger.undelivered_again([ids[0]])
        assert [each.id for each in file.deliveries] == ids
        assert [record.path for record in desk.ledger.folder_records()] == ["/srv/drop"]

    def test_a_follower_that_went_with_its_elder_is_not_moved_twice(self, desk, state):
        """Two rules want a file at one target and lose it: one is held, the other behind it, by one move."""
        desk.record("a.jpg", desk.plan(), desk.plan(rule="copies"))
        elder, follower = desk.claim().values()
        desk.identify(elder)
        desk.identify(follower)
        assert desk.move(elder, State.WAITING)
        files = [file.version for page in desk.ledger.undelivered(desk.folder.id) for file in page]
        judged = [(each, Judgement(reason=desk.no_rule, destinations=())) for each in files]
        outcome = desk.ledger.replan(judged, desk.now(), "reload")
        assert (state(elder.id), state(follower.id), outcome.held) == ("held", "held", 1)

    def test_a_file_that_the_ledger_does_not_know_is_nothing(self, desk):
        """Nothing is written for a path that is not there."""
        desk.drop("a.jpg")
        ((file,),) = desk.ledger.undelivered(desk.folder.id)
        stranger = replace(file.version, path="elsewhere/b.jpg")
        outcome = desk.ledger.replan([(stranger, Judgement(reason=desk.no_rule))], desk.now(), "reload")
        assert (outcome.superseded, outcome.unmatched) == (0, 0)


class TestOpening:
    def test_a_first_start_that_was_killed_has_begun_nothing(self, tmp_path):
        """No file and an empty one are no ledger yet; one with tables, or that cannot be read, is."""
        path = tmp_path / "attachd.db"
        assert not is_begun(str(path))
        path.touch()
        assert not is_begun(str(path))
        path.write_bytes(b"no database at all, but something" * 40)
        assert is_begun(str(path))
        path.unlink()
        SqliteLedger.open(str(path), create=True).close()
        assert is_begun(str(path))

    def test_the_log_of_another_ledger_is_not_read_into_this_one(self, desk, path, tmp_path):
        """A backup that is put back beside an old log comes up as it was backed up."""
        delivery_id = desk.drop("a.jpg")
        backup = tmp_path / "backup.db"
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("VACUUM INTO ?", (str(backup),))
        desk.drop("b.jpg")
        desk.ledger.close()
        log = Path(f"{path}-wal")
        log.write_bytes(b"\x37\x7f\x06\x82" + bytes(60))
        backup.replace(path)
        with Path(f"{path}-shm").open("wb") as shared:
            shared.write(bytes(10))
        opened = SqliteLedger.open(path, create=False)
        try:
            with Reports.open(path) as reports:
                assert [entry.id for entry in reports.entries()] == [delivery_id]
                assert reports.followers() == []
        finally:
            opened.close()

    def test_a_log_of_its_own_is_kept(self, desk, path):
        """A ledger in WAL mode needs the log beside it."""
        delivery_id = desk.drop("a.jpg")
        second = SqliteLedger.open(path, create=False)  # the log is there, and is its own
        second.close()
        with Reports.open(path) as reports:
            assert reports.entry(delivery_id).state == "ready"

    def test_a_ledger_that_cannot_be_read_beside_a_log_is_a_clear_error(self, tmp_path):
        """What stands in its place is named, with the system's reason."""
        path = tmp_path / "attachd.db"
        path.symlink_to(path)
        Path(f"{path}-wal").touch()
        with pytest.raises(LedgerError):
            SqliteLedger.open(str(path), create=True)

    def test_a_file_that_is_no_ledger_is_not_reported_on(self, tmp_path):
        """Reading commands say so as well."""
        path = tmp_path / "attachd.db"
        path.write_bytes(b"no database at all, but something" * 40)
        with pytest.raises(LedgerError):
            Reports.open(str(path))
