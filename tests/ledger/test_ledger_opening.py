import os
import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Migrations

from attachd.core.states import TRANSITIONS
from attachd.errors import LedgerError, LedgerTooNew
from attachd.ledger import connection, schema
from attachd.ledger.connection import is_begun, require_sqlite
from attachd.ledger.faults import explain
from attachd.ledger.reports import Reports
from attachd.ledger.schema import MIGRATION_NAMES, MIGRATIONS
from attachd.ledger.store import SqliteLedger
from attachd.ledger.triggers import TRIGGERS
from attachd.model import Standing, State


def words(text):
    """Compare SQL without minding its line breaks."""
    return " ".join(text.split())


def listed(states):
    """Write states as SQL lists them."""
    return ", ".join(f"'{each}'" for each in states)


@pytest.fixture
def stranger(desk, path):
    """A raw connection to the ledger, as any SQLite tool has it."""
    raw = sqlite3.connect(path, isolation_level=None)
    yield raw
    raw.close()


@pytest.fixture
def next_version(monkeypatch):
    """Make this program one migration newer; gives a way to undo that."""

    def release(migration):
        newer = Migrations(MIGRATIONS.name)
        newer(name="0001_first_tables")(schema._first_tables)
        newer(name="0002_more")(migration)
        monkeypatch.setattr(connection, "MIGRATIONS", newer)
        monkeypatch.setattr(connection, "MIGRATION_NAMES", {*MIGRATION_NAMES, "0002_more"})
        return monkeypatch.undo

    return release


class TestSchema:
    """The literals of the migration say what the code says."""

    def test_trigger_is_the_state_table(self):
        """Every legal move of `core.states` stands in the trigger, and no other."""
        clauses = [
            f"(OLD.state = '{before}' AND NEW.state IN ({listed(sorted(after))}))"
            for before, after in TRANSITIONS.items()
            if after
        ]
        (trigger,) = (each for each in TRIGGERS if "deliveries_illegal_move" in each)
        assert f"WHEN NOT ( {' OR '.join(clauses)} )" in words(trigger)

    def test_checks_know_every_state_and_standing(self, stranger):
        """The CHECKs list the words of the model, in its order."""
        tables = dict(stranger.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'"))
        assert f"CHECK (state IN ({listed(State)}))" in words(tables["deliveries"])
        assert f"CHECK (standing IN ({listed(Standing)}))" in words(tables["files"])

    def test_tables_are_strict(self, stranger):
        """Every table of ours refuses values of a wrong type."""
        tables = stranger.execute(
            "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"
        ).fetchall()
        ours = {
            name: strict
            for name, strict in tables
            if not name.startswith(("sqlite_", "_sqlite_", "attachments"))
        }
        assert len(ours) >= 8
        assert set(ours.values()) == {1}

    @pytest.mark.parametrize("before", list(State))
    def test_database_refuses_what_the_state_table_refuses(self, desk, stranger, before):
        """Even raw SQL cannot move a delivery along a way that is not in the table."""
        delivery_id = desk.drop("a.jpg")
        stranger.execute("PRAGMA ignore_check_constraints = ON")
        stranger.execute("BEGIN")
        trigger = stranger.execute("SELECT sql FROM sqlite_schema WHERE name = 'deliveries_illegal_move'")
        (statement,) = trigger.fetchone()
        stranger.execute("DROP TRIGGER deliveries_illegal_move")
        stranger.execute("UPDATE deliveries SET state = ?", (before,))
        stranger.execute(statement)
        came_through = {after for after in State if self.moves(stranger, delivery_id, after)}
        stranger.execute("ROLLBACK")
        assert came_through == TRANSITIONS[before]

    def moves(self, stranger, delivery_id, after):
        stranger.execute("SAVEPOINT here")
        try:
            stranger.execute("UPDATE deliveries SET state = ? WHERE id = ?", (after, delivery_id))
        except sqlite3.IntegrityError as error:
            assert "cannot go to that one" in str(error)  # noqa: PT017 - the loop goes on after it
            return False
        finally:
            stranger.execute("ROLLBACK TO here")
        return True

    def test_delivery_is_born_ready_and_never_deleted(self, desk, stranger):
        """A stranger cannot write a delivery that skipped its way, nor make one disappear."""
        desk.drop("a.jpg")
        columns = (
            "folder_id, directory_id, name, version, rule, destination, target, filename, dedupe,"
            " detail, changed_by, created_at, updated_at"
        )
        with pytest.raises(sqlite3.IntegrityError, match="born ready"):
            stranger.execute(
                f"INSERT INTO deliveries ({columns}, state, remote_id)"
                f" SELECT {columns}, 'done', 'x' FROM deliveries"
            )
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
            stranger.execute("DELETE FROM deliveries")

    def test_known_names_are_those_of_the_migrations(self, stranger):
        """A migration that is not in the list of names would make every ledger look too new."""
        applied = {row[0] for row in stranger.execute("SELECT name FROM _sqlite_migrations")}
        assert applied == MIGRATION_NAMES
        assert MIGRATIONS.name == "attachd"


class TestOpening:
    """A ledger is opened, made, or refused with words."""

    def test_every_commit_reaches_the_disk(self, desk):
        """WAL, synchronous FULL, foreign keys and a patient busy time-out are in force."""

        def settings(connection):
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        assert desk.ledger._writer.run(settings) == ["wal", 2, 1, 30_000]

    def test_missing_ledger_is_not_made_unasked(self, path):
        """Without `create` a missing ledger is an error, and stays missing."""
        with pytest.raises(LedgerError, match="there is no ledger at") as raised:
            SqliteLedger.open(path, create=False)
        assert "attachd run" in raised.value.hint
        assert not Path(path).exists()

    def test_missing_directory_is_said(self, tmp_path):
        """The directory is not made silently."""
        with pytest.raises(LedgerError, match="does not exist"):
            SqliteLedger.open(str(tmp_path / "no" / "attachd.db"), create=True)

    def test_directory_in_its_place_is_said(self, tmp_path):
        """A directory is no ledger."""
        with pytest.raises(LedgerError, match="is a directory"):
            SqliteLedger.open(str(tmp_path), create=True)

    @pytest.mark.parametrize("opening", [lambda path: SqliteLedger.open(path, create=True), Reports.open])
    def test_pipe_in_its_place_is_said(self, path, opening):
        """SQLite would wait for somebody who writes into it, and no signal ends that."""
        os.mkfifo(path)
        assert is_begun(path)
        with pytest.raises(LedgerError, match="it is a pipe"):
            opening(path)

    def test_file_that_cannot_be_opened_is_said(self, tmp_path):
        """SQLite's refusal comes with our words and a hint."""
        loop = tmp_path / "loop.db"
        loop.symlink_to(loop)
        with pytest.raises(LedgerError, match="cannot be opened") as raised:
            SqliteLedger.open(str(loop), create=True)
        assert raised.value.hint

    @pytest.mark.parametrize("create", [True, False])
    def test_text_file_is_no_ledger(self, path, create):
        """A file of something else is left untouched."""
        content = b"something else altogether\n" * 99
        Path(path).write_bytes(content)
        with pytest.raises(LedgerError, match="is not a ledger"):
            SqliteLedger.open(path, create=create)
        assert Path(path).read_bytes() == content

    @pytest.mark.parametrize("create", [True, False])
    def test_other_database_is_no_ledger(self, path, create):
        """Another program's database gets none of our tables."""
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
        with pytest.raises(LedgerError, match="not a ledger of attachd"):
            SqliteLedger.open(path, create=create)

    def test_empty_file_becomes_a_ledger_only_where_one_may_be_made(self, path):
        """An empty file is what a full disk or `touch` leaves."""
        Path(path).touch()
        with pytest.raises(LedgerError, match="not a ledger of attachd"):
            SqliteLedger.open(path, create=False)
        SqliteLedger.open(path, create=True).close()
        SqliteLedger.open(path, create=False).close()

    @pytest.mark.parametrize("opener", [lambda path: SqliteLedger.open(path, create=True), Reports.open])
    def test_newer_ledger_is_refused(self, path, opener):
        """A ledger with a migration that this version does not know is not touched."""
        SqliteLedger.open(path, create=True).close()
        with sqlite3.connect(path) as newer:
            newer.execute("INSERT INTO _sqlite_migrations VALUES (9, 'attachd', '0002_more', '2030-01-01')")
        newer.close()
        with pytest.raises(LedgerTooNew, match="newer attachd"):
            opener(path)

    def test_older_ledger_is_brought_up_to_date_by_who_writes(self, path, next_version):
        """A reading command says what to do; the service migrates, and then both can read it."""
        SqliteLedger.open(path, create=True).close()
        next_version(lambda database: database.execute("CREATE TABLE more (x TEXT) STRICT"))
        with pytest.raises(LedgerError, match="written by an older attachd") as raised:
            Reports.open(path)
        assert "start the service once" in raised.value.hint
        SqliteLedger.open(path, create=False).close()
        Reports.open(path).close()

    def test_failed_migration_changes_nothing(self, path, next_version):
        """A migration that breaks half way leaves the ledger to the version that wrote it."""
        SqliteLedger.open(path, create=True).close()

        def break_half_way(database):
            database.execute("CREATE TABLE half (x TEXT) STRICT")
            database.execute("INSERT INTO nowhere VALUES (1)")

        undo = next_version(break_half_way)
        with pytest.raises(LedgerError, match="no such table: nowhere"):
            SqliteLedger.open(path, create=False)
        undo()
        SqliteLedger.open(path, create=False).close()
        with Reports.open(path) as reports, reports._readers.borrow() as connection:
            tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_schema")}
        assert "half" not in tables

    def test_odd_paths_are_opened_as_they_are(self, tmp_path):
        """Question marks, percent signs and bytes that are no text mean nothing special in a path."""
        path = str(tmp_path / "a?mode=ro&x=%41#\udcff.db")
        SqliteLedger.open(path, create=True).close()
        with Reports.open(path) as reports:
            assert reports.counts() == []
        assert Path(path).exists()

    def test_old_sqlite_is_said_with_both_versions(self):
        """STRICT tables need SQLite 3.37."""
        with pytest.raises(LedgerError, match=r"SQLite 3\.36\.0, and the ledger needs 3\.37\.0"):
            require_sqlite((3, 36, 0))
        require_sqlite((3, 37, 0))

    def test_error_without_a_name_is_still_explained(self):
        """Whatever SQLite says becomes an error of ours."""
        assert isinstance(explain(sqlite3.DatabaseError("odd"), "x.db"), LedgerError)
