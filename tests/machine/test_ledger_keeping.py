"""The ledger's backup, its check, and what a copy that was put back cannot know; without a service."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from attachd.core.protocols import Change, NewVersion
from attachd.core.states import UNKNOWN_CALL
from attachd.errors import LedgerDamaged, LedgerError
from attachd.ledger.backup import backed_up_at, set_backup_aside
from attachd.ledger.keeping import LedgerFile
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import ErrorInfo, ErrorKind, PlannedDelivery, Signs, Standing, State
from attachd.pipeline.patience import until_written
from attachd.service.clock import SystemClock
from attachd.service.keeper import DAY, RETRY_SECONDS, LedgerKeeper, Tried, is_due
from attachd.service.run import _tell_failure
from attachd.status.snapshot import _silence

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BEFORE, AFTER = (int((START + timedelta(hours=n)).timestamp()) * 10**9 for n in (-1, 9))
LATER = START + timedelta(hours=8)


class Store:
    """A ledger with one folder, to be copied and put back."""

    def __init__(self, path):
        self.path = path
        self.ledger = SqliteLedger.open(path, create=True)
        self.run = self.ledger.begin_run(1, "here", START)
        self.folder = self.ledger.open_folder("/srv/drop", "ext4", START)

    def drop(self, name, ctime_ns=BEFORE, to="ion"):
        plan = PlannedDelivery(
            rule="photos", destination=to, target={"part": "1"}, filename=name, dedupe=True
        )
        new = NewVersion(
            folder_id=self.folder.id,
            path=name,
            signs=Signs(size=7, mtime_ns=1, ctime_ns=ctime_ns),
            standing=Standing.MATCHED,
            planned=[plan],
        )
        return self.ledger.record(new, START)[0]

    def claim(self):
        return {each.path: each for each in self.ledger.claim("ion", self.run, START, 100)}

    def move(self, delivery, to, **values):
        assert self.ledger.change(delivery, Change(to=to, at=START, by=self.run, **values))

    def reopen(self, copy):
        self.ledger.close()
        Path(copy).replace(self.path)
        self.ledger = SqliteLedger.open(self.path, create=False)

    def states(self):
        with Reports.open(self.path) as reports:
            return {entry.path: entry.state for entry in reports.entries()}


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "attachd.db"))
    yield store
    store.ledger.close()


TROUBLE = ErrorInfo(kind=ErrorKind.NETWORK, message="no connection", hint="wait")


class TestBackup:
    """The backup appears whole, with the ledger's own permissions, and tells when it was made."""

    def test_backup_is_a_ledger_with_everything_in_it(self, store):
        """It opens as a ledger of this version, and nobody else may read it where the ledger is private."""
        store.drop("a.jpg")
        os.chmod(store.path, 0o600)  # noqa: PTH101 - a str
        assert backed_up_at(store.path) is None
        LedgerFile(store.path).back_up(START)
        backup = Path(f"{store.path}.backup")
        assert backup.stat().st_mode & 0o777 == 0o600
        assert backed_up_at(store.path) == backup.stat().st_mtime
        with Reports.open(str(backup)) as reports:
            assert [entry.path for entry in reports.entries()] == ["a.jpg"]
        assert sorted(path.name for path in backup.parent.iterdir() if path.name.startswith(".")) == []

    def test_failed_backup_leaves_the_former_one(self, store, monkeypatch):
        """A disk that is full half way costs the new one only, and leaves nothing behind."""
        file = LedgerFile(store.path)
        file.back_up(START)
        former = Path(f"{store.path}.backup").read_bytes()

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("attachd.ledger.backup.os.fsync", full)
        with pytest.raises(LedgerError, match=r"no backup of the ledger .* No space left on device"):
            file.back_up(LATER)
        assert Path(f"{store.path}.backup").read_bytes() == former
        assert not list(Path(store.path).parent.glob(".*"))

    def test_ledger_that_cannot_be_read_is_not_backed_up(self, tmp_path):
        """Without a ledger there is nothing to copy, and it is said."""
        with pytest.raises(LedgerError, match="cannot be opened"):
            LedgerFile(str(tmp_path / "attachd.db")).back_up(START)

    def test_interrupted_file_does_nothing_more(self, store):
        """A stop ends what is under way and whatever would be begun after it."""
        file = LedgerFile(store.path)
        file.interrupt()
        with pytest.raises(LedgerError, match="the service stops"):
            file.check()

    def test_old_backup_can_be_set_aside(self, store, tmp_path):
        """Where there is none nothing happens; where it cannot be renamed the start is refused."""
        set_backup_aside(store.path)
        (tmp_path / "attachd.db.backup").write_text("old")
        (tmp_path / "attachd.db.backup.old").mkdir()
        with pytest.raises(LedgerError, match="cannot be renamed"):
            set_backup_aside(store.path)
        (tmp_path / "attachd.db.backup.old").rmdir()
        set_backup_aside(store.path)
        assert (tmp_path / "attachd.db.backup.old").read_text() == "old"

    def test_check_finds_noise_in_any_table(self, store):
        """A page that is not SQLite's is found whatever it held."""
        for number in range(300):
            store.drop(f"{number}.jpg")
        store.ledger.close()
        with closing(sqlite3.connect(store.path)) as raw:
            page = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'history'").fetchone()[0]
        with Path(store.path).open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xde\xad" * 100)
        with pytest.raises(LedgerDamaged, match="is damaged") as raised:
            LedgerFile(store.path).check(30.0)
        assert "--new-ledger" in raised.value.hint
        keeper = LedgerKeeper(LedgerFile(store.path), SystemClock(), checked=False, first=0.0)
        with pytest.raises(LedgerDamaged):
            keeper.tend()
        assert backed_up_at(store.path) is None

    def test_log_of_a_former_ledger_is_not_written_into_a_backup(self, store, tmp_path):
        """SQLite would take the -wal for the backup's own and spoil it."""
        LedgerFile(store.path).back_up(START)
        for number in range(50):
            store.drop(f"{number}.jpg")
        log = Path(f"{store.path}-wal").read_bytes()
        store.reopen(f"{store.path}.backup")
        store.ledger.close()
        with closing(sqlite3.connect(store.path)) as raw:
            raw.execute("PRAGMA journal_mode = DELETE")
        Path(f"{store.path}-wal").write_bytes(log)
        store.ledger = SqliteLedger.open(store.path, create=False)
        LedgerFile(store.path).check()
        assert store.states() == {}
        with closing(sqlite3.connect(store.path)) as raw:
            assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


class TestLostTime:
    """What was attached since the copy is not known: nothing that may have been goes again by itself."""

    @pytest.fixture
    def copied(self, store):
        """A ledger with a delivery in every state that moves, put back from its backup."""
        for name in ("ready", "active", "waiting", "doubtful", "held", "done"):
            store.drop(name)
            claimed = store.claim() if name != "ready" else {}
            store.ready = getattr(store, "ready", None) or claimed.get("ready")
            match name:
                case "waiting":
                    store.move(claimed[name], State.WAITING, error=TROUBLE, next_attempt_at=START)
                case "doubtful":
                    assert store.ledger.record_intent(claimed[name], "register")
                    store.move(claimed[name], State.DOUBTFUL, error=TROUBLE)
                case "held":
                    store.move(claimed[name], State.HELD, error=TROUBLE)
                case "done":
                    store.move(claimed[name], State.DONE, remote_id="1")
        store.move(store.ready, State.READY, detail="put back")
        LedgerFile(store.path).back_up(START)
        store.reopen(f"{store.path}.backup")
        return store

    def test_everything_not_attached_is_held(self, copied):
        """Whatever it was waiting for, only a person knows more now."""
        assert copied.ledger.begin_after_loss("", LATER) == 5
        assert set(copied.states().items()) == {
            *((name, "held") for name in ("ready", "active", "waiting", "doubtful", "held")),
            ("done", "done"),
        }
        assert copied.claim() == {}
        with closing(sqlite3.connect(copied.path)) as raw:
            about = raw.execute("SELECT DISTINCT intent, receipts FROM deliveries WHERE state = 'held'")
            assert about.fetchall() == [(UNKNOWN_CALL, "{}")]

    def test_it_happens_once(self, copied):
        """The next start finds an ordinary ledger."""
        copied.ledger.begin_after_loss("", LATER)
        assert copied.ledger.begin_after_loss("", LATER) is None

    def test_files_that_lay_there_are_held_and_later_ones_go(self, copied):
        """The change time of a file says whether it can have been attached in the lost time."""
        copied.ledger.begin_after_loss("", LATER)
        copied.drop("lay there")
        copied.drop("came later", ctime_ns=AFTER)
        assert set(copied.claim()) == {"came later"}
        assert copied.states()["lay there"] == "held"

    def test_retry_asks_and_never_repeats(self, copied):
        """A person's retry of one of them is a question to the destination first."""
        copied.ledger.begin_after_loss("", LATER)
        copied.ledger.retry(None, LATER, "cli")
        assert {each.intent for each in copied.ledger.doubtful("ion")} == {UNKNOWN_CALL}

    def test_ordinary_ledger_holds_nothing(self, store):
        """A ledger that was never put back knows its own runs."""
        store.drop("a.jpg")
        assert store.ledger.begin_after_loss("", LATER) is None
        assert store.ledger.begin_after_loss("run 1", LATER) is None
        assert store.states() == {"a.jpg": "ready"}

    def test_copy_that_attachd_did_not_make_is_noticed(self, store):
        """The run that had the lock last is not known to it."""
        store.drop("a.jpg")
        assert store.ledger.begin_after_loss("run 7", LATER) == 1
        assert store.states() == {"a.jpg": "held"}

    def test_empty_copy_is_noticed_too(self, tmp_path):
        """Even one in which nothing ever happened."""
        with closing(SqliteLedger.open(str(tmp_path / "attachd.db"), create=True)) as ledger:
            assert ledger.begin_after_loss("run 1", LATER) == 0


class TestKeeper:
    """When a backup is made, and what is said of one that fails."""

    def due(self, **facts):
        return is_due(**({"now": 100.0, "wall": 10**9, "made": None, "tried": None, "from_": 0.0} | facts))

    def test_when_a_backup_is_due(self):
        """Once a day by either clock, soon after a start without one, and five minutes after a failure."""
        assert self.due()
        assert not self.due(from_=101.0)
        assert not self.due(made=10**9 - DAY / 2)
        assert self.due(made=10**9 - DAY)
        assert self.due(made=10**9 + DAY)
        assert not self.due(made=10**9 + 60)
        assert self.due(now=DAY, made=10**9, tried=Tried(at=0.0, well=True))
        assert not self.due(made=10**9, tried=Tried(at=0.0, well=True))
        assert not self.due(tried=Tried(at=0.0, well=False))
        assert self.due(now=RETRY_SECONDS, made=10**9, tried=Tried(at=0.0, well=False))

    def test_failure_is_told_once_and_healing_too(self, store):
        """A backup that cannot be made is tried again, quietly."""

        class Clock(SystemClock):
            ahead = 0.0

            def monotonic(self):
                return super().monotonic() + self.ahead

        clock = Clock()
        keeper = LedgerKeeper(LedgerFile(store.path), clock, checked=True, first=0.0)
        hidden = Path(store.path).with_name(".attachd.db.backup.new")
        hidden.mkdir()
        with structlog.testing.capture_logs() as said:
            for _ in range(3):
                keeper.tend()
                clock.ahead += RETRY_SECONDS
            assert backed_up_at(store.path) is None
            hidden.rmdir()
            keeper.tend()
        assert backed_up_at(store.path) is not None
        assert [line["event"] for line in said] == ["ledger_not_backed_up", "ledger_backed_up"]

    def test_damage_found_beside_the_service_is_its_failure(self, store):
        """The thread ends with what it found, for the main thread to see."""

        class Damaged(LedgerFile):
            def check(self, within=None):
                raise LedgerDamaged("noise")

        keeper = LedgerKeeper(Damaged(store.path), SystemClock(), checked=False)
        keeper.start()
        keeper._thread.join(30)
        assert isinstance(keeper.failure, LedgerDamaged)
        keeper.stop(1.0)

    def test_thinning_goes_on_until_nothing_is_left(self, store):
        """Each look thins batch by batch, and a ledger that cannot be written ends no thread."""
        batches = [LedgerError("the disk is full"), False, True, True]

        def thin(at):
            batch = batches.pop()
            if isinstance(batch, Exception):
                raise batch
            return batch

        keeper = LedgerKeeper(LedgerFile(store.path), SystemClock(), checked=True, thin=thin)
        keeper.tend()
        assert len(batches) == 1
        keeper.tend()
        assert batches == []

    def test_stop_ends_the_thread(self, store):
        """A keeper that waits for tomorrow ends at once."""
        keeper = LedgerKeeper(LedgerFile(store.path), SystemClock(), checked=True)
        keeper.start()
        assert keeper.is_running
        keeper.stop(30.0)
        assert not keeper.is_running
        assert keeper.failure is None


class TestWaiting:
    """A ledger that fails for a while is waited for, one that is damaged is not."""

    def test_damage_is_raised_at_once(self):
        """No waiting helps."""

        def damaged():
            raise LedgerDamaged("noise")

        with pytest.raises(LedgerDamaged):
            until_written(damaged, threading.Event())

    def test_want_of_memory_is_passing_for_the_writer(self, store):
        """One transaction that finds no memory fails, and the next one is written."""

        def hungry(connection):
            raise MemoryError

        with pytest.raises(LedgerError, match="no memory is left"):
            store.ledger._writer.run(hungry)
        store.drop("a.jpg")
        assert store.ledger.trouble is None

    def test_silent_service_is_not_well(self):
        """Facts that are written every second and were not for long say that they cannot be."""
        assert _silence(None, START) == ""
        assert _silence(START.isoformat(), START + timedelta(seconds=9)) == ""
        assert "for 25 s" in _silence(START.isoformat(), START + timedelta(seconds=25))


class TestEnding:
    """A service that ends by itself says why in one line, with what to do; a bug comes with its traceback."""

    @pytest.mark.parametrize(
        ("failure", "event", "words"),
        [
            (LedgerDamaged("noise", hint="put the backup back"), "ending", "put the backup back"),
            (MemoryError(), "ending", "no memory is left"),
            (ValueError("odd"), "thread_died", "odd"),
        ],
    )
    def test_reason_is_told(self, failure, event, words):
        """Whatever ended it."""
        with structlog.testing.capture_logs() as said:
            _tell_failure("worker", failure)
        assert said[0]["event"] == event
        assert words in str(said[0])


def test_copies_are_made_by_anybody(store, tmp_path):
    """`cp` of a ledger nobody writes to is a ledger."""
    store.drop("a.jpg")
    store.ledger.close()
    shutil.copy(store.path, tmp_path / "copy.db")
    store.path = str(tmp_path / "copy.db")
    store.ledger = SqliteLedger.open(store.path, create=False)
    assert store.states() == {"a.jpg": "ready"}
