"""What SQLite, the disk and other users do to a ledger while it is opened, checked or read."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Migrations

from attachd.errors import LedgerError
from attachd.ledger import connection, schema
from attachd.ledger.connection import connect
from attachd.ledger.faults import explained
from attachd.ledger.keeping import LedgerFile
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger

NOBODY = 65534
MANY_PAGES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"


class TestWal:
    """A new file is switched to WAL however many are at it."""

    @pytest.fixture
    def new(self, tmp_path):
        """A file that is not in WAL mode yet, and that nobody waits for."""
        path = tmp_path / "new.db"
        with closing(sqlite3.connect(path)) as maker:
            maker.execute("CREATE TABLE some (thing)")
        opened = connect(str(path), "rw")
        opened.execute("PRAGMA busy_timeout = 0")
        yield opened
        opened.close()

    @pytest.fixture
    def reader(self, new, tmp_path):
        """Another one who reads at this moment."""
        with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM some").fetchall()
            yield reader

    def test_who_is_refused_tries_again(self, new, reader):
        """SQLite refuses one of two without waiting; the other is through a moment later."""
        new.set_trace_callback(
            lambda told: reader.in_transaction and told == "ROLLBACK" and reader.rollback()
        )
        connection._use_wal(new)
        assert not reader.in_transaction
        assert new.execute("PRAGMA journal_mode").fetchone()[0] == "wal"

    def test_it_is_not_tried_for_ever(self, new, reader):
        """After some tries the ledger is locked, and that is said."""
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            connection._use_wal(new)

    def test_other_trouble_is_told_at_once(self, new, tmp_path):
        """To try again would not help where nothing may be written."""
        with (
            closing(connect(str(tmp_path / "new.db"), "ro")) as reading,
            pytest.raises(sqlite3.OperationalError, match="readonly"),
        ):
            connection._use_wal(reading)


def test_migration_that_sqlite_rolled_back_tells_its_own_error(ledger, path, monkeypatch):
    """A full disk may end the transaction by itself: there is nothing left to roll back."""
    ledger.close()

    def fill(database):
        database.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    newer = Migrations(schema.MIGRATIONS.name)
    newer(name="9999_more")(fill)
    monkeypatch.setattr(connection, "MIGRATIONS", newer)
    with pytest.raises(LedgerError, match="database or disk is full"):
        SqliteLedger.open(path, create=False)


def test_want_of_memory_is_said_in_words():
    """It may pass, and attachd goes on by itself."""
    with (
        pytest.raises(LedgerError, match="no memory is left to use the ledger /a") as caught,
        explained("/a"),
    ):
        raise MemoryError
    assert "by itself" in caught.value.hint


class TestCheck:
    @pytest.fixture
    def file(self, ledger, path):
        """A ledger that takes more than a moment to be read."""
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("CREATE TABLE many (i INTEGER PRIMARY KEY, text TEXT UNIQUE)")
            raw.execute(f"{MANY_PAGES} INSERT INTO many SELECT i, 'row ' || i FROM n")
        return LedgerFile(path)

    def test_check_ends_in_time(self, file):
        """What is not read to its end by then is neither whole nor damaged."""
        assert file.check(within=3600.0)
        assert file.check()
        assert not file.check(within=-1.0)

    def test_stop_ends_what_is_under_way(self, file):
        """A backup of a large ledger does not keep the service from stopping."""
        with file._connection() as reading:
            reading.set_progress_handler(file.interrupt, 1000)
            with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                reading.execute("SELECT count(*) FROM many a, many b").fetchone()


@pytest.fixture
def elsewhere(path, ledger):
    """A ledger at rest in a directory that everybody may read and nobody write; read by nobody."""
    ledger.close()
    directory = Path(tempfile.mkdtemp())
    shutil.copy(path, directory / "attachd.db")
    (directory / "attachd.db").chmod(0o444)
    directory.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.setresuid(NOBODY, NOBODY, 0)
    yield directory / "attachd.db"
    if is_root:
        os.seteuid(0)
        os.setresuid(0, 0, 0)
    directory.chmod(0o755)
    shutil.rmtree(directory)


def test_ledger_at_rest_is_read_by_who_may_not_write_beside_it(elsewhere):
    """SQLite would have to make files there; the file alone holds everything, and none is made."""
    with Reports.open(str(elsewhere)) as reports:
        assert list(reports.entries()) == []
    assert [each.name for each in elsewhere.parent.iterdir()] == ["attachd.db"]
