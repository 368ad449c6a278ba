import sqlite3
from itertools import islice
from pathlib import Path

import pytest

from attachd.errors import LedgerError, UnknownDelivery
from attachd.ledger.reports import Count, Reports
from attachd.model import Standing, State


class TestReports:
    """What the reading commands see."""

    def test_newest_change_comes_first_with_and_without_delivery(self, desk, reports):
        """Deliveries and files without one stand in one order, and the limit cuts it."""
        first, second = desk.drop("first.jpg"), desk.drop("second.jpg")
        desk.record("note.txt")
        desk.record("cut.jpg", standing=Standing.PARKED)
        desk.hold(desk.claim()[first])
        seen = [(each.id, each.path, each.state) for each in reports.entries()]
        assert seen == [
            (first, "first.jpg", "held"),
            (second, "second.jpg", "active"),
            (None, "cut.jpg", "parked"),
            (None, "note.txt", "unmatched"),
        ]
        assert [each.path for each in reports.entries(limit=2)] == ["first.jpg", "second.jpg"]
        assert list(reports.entries(limit=0)) == []

    def test_states_and_time_narrow_the_list(self, desk, reports):
        """Files without a delivery are asked for like states; `since` includes its own moment."""
        desk.drop("old.jpg")
        moment = desk.now()
        desk.now = lambda: moment
        desk.drop("new.jpg")
        desk.record("note.txt")
        assert {each.path for each in reports.entries(since=moment)} == {"new.jpg", "note.txt"}
        assert [each.path for each in reports.entries(states=["unmatched", State.HELD])] == ["note.txt"]
        assert list(reports.entries(states=[])) == []

    def test_broken_off_list_leaves_the_ledger_writable(self, desk, reports, path):
        """A reader that stops half way holds no snapshot open."""
        for number in range(5):
            desk.drop(f"{number}.jpg")
        entries = reports.entries()
        assert len(list(islice(entries, 2))) == 2
        entries.close()
        desk.drop("more.jpg")
        with sqlite3.connect(path) as stranger:
            busy, *_ = stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        stranger.close()
        assert busy == 0

    def test_file_without_delivery_says_why(self, desk, reports):
        """An unmatched file has no id, no rule and a reason."""
        desk.record("note.txt", size=12)
        (entry,) = reports.entries()
        assert (entry.id, entry.rule, entry.destination, entry.target, entry.filename) == (None,) * 5
        assert (entry.error, entry.size, entry.attempts, entry.folder) == (desk.no_rule, 12, 0, "/srv/drop")

    def test_unknown_id_is_said(self, reports):
        """Asking for a delivery that is not there is a person's mistake, not a crash."""
        with pytest.raises(UnknownDelivery, match="no delivery has the id 7"):
            reports.entry(7)
        with pytest.raises(UnknownDelivery):
            reports.history(7)

    def test_counts_are_per_folder_and_destination(self, desk, reports):
        """Zeros are left out; files without a delivery have no destination."""
        desk.drop("a.jpg")
        desk.drop("b.pdf", to="glue")
        desk.record("note.txt")
        desk.claim()
        assert reports.counts() == [
            Count(folder="/srv/drop", destination=None, state="unmatched", count=1),
            Count(folder="/srv/drop", destination="glue", state="ready", count=1),
            Count(folder="/srv/drop", destination="ion", state="active", count=1),
        ]

    def test_oldest_undelivered_is_found_over_all_folders(self, desk, reports):
        """What is attached counts no more; a held one still does."""
        assert reports.oldest_undelivered() is None
        other = desk.ledger.open_folder("/srv/other", "ext4", desk.now())
        done = desk.dropped("done.jpg")
        desk.record("held.jpg", desk.plan(target="43"), folder=other)
        recorded = desk.later(0)
        (held,) = desk.claim().values()
        desk.drop("later.jpg")
        assert desk.move(done, State.DONE)
        desk.hold(held)
        assert reports.oldest_undelivered() == recorded

    def test_folders_and_facts_are_given_back(self, desk, reports):
        """Facts are replaced key by key and come back as they were said."""
        desk.ledger.save_facts({"service": {"pid": 7, "names": ["ü"]}, "old": None}, desk.now())
        desk.ledger.save_facts({"service": {"pid": 8}}, desk.now())
        desk.ledger.finish_first_scan(desk.folder.id)
        assert reports.facts() == {"service": {"pid": 8}, "old": None}
        assert [(each.path, each.first_scan_done) for each in desk.ledger.folder_records()] == [
            ("/srv/drop", True)
        ]

    def test_stranger_reads_what_happened(self, desk, path):
        """The view tells the story in the contract's words to any SQLite tool."""
        delivery = desk.dropped("sub/a.jpg", target="Prüfstand")
        desk.hold(delivery)
        with sqlite3.connect(path) as stranger:
            stranger.row_factory = sqlite3.Row
            (row,) = stranger.execute("SELECT * FROM attachments").fetchall()
        stranger.close()
        assert (row["path"], row["state"], row["error_kind"]) == ("sub/a.jpg", "held", "unknown_target")
        assert row["target"] == '{"run_step":"Prüfstand"}'
        assert row["updated_at"].endswith(".000Z")


class TestOpening:
    """Reading while the service runs, while it does not, and where there is nothing to read."""

    def test_reading_needs_no_running_service(self, desk, path):
        """A ledger that was closed can be read, and cannot be written that way."""
        desk.drop("a.jpg")
        desk.ledger.close()
        with Reports.open(path) as reports:
            assert [each.path for each in reports.entries()] == ["a.jpg"]
            with reports._readers.borrow() as connection, pytest.raises(sqlite3.OperationalError):
                connection.execute("DELETE FROM facts")

    def test_missing_ledger_is_said(self, path):
        """No file is made by looking for one."""
        with pytest.raises(LedgerError, match="there is no ledger at"):
            Reports.open(path)
        assert not Path(path).exists()

    @pytest.mark.parametrize(
        "content", [b"no database at all, but long enough " * 9, b""], ids=["text", "empty"]
    )
    def test_other_file_is_said(self, path, content):
        """A file that is no ledger is not taken for one."""
        Path(path).write_bytes(content)
        with pytest.raises(LedgerError, match="is not a ledger"):
            Reports.open(path)

    def test_closed_reports_answer_no_more(self, desk, path):
        """After `close` there is an error with words, and no leaked connection."""
        reports = Reports.open(path)
        entries = reports.entries()
        desk.drop("a.jpg")
        assert next(entries).path == "a.jpg"
        reports.close()
        entries.close()
        with pytest.raises(LedgerError, match="is closed"):
            reports.counts()
