import fcntl
import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pytest

from attachd.errors import LedgerError, LedgerInUse
from attachd.ledger.lock import Holder, LedgerLock, holder_of, refuse_lost_ledger

HOLDER = Holder(pid=4242, host="station-3", started_at=datetime(2026, 3, 1, 12, tzinfo=UTC))

KEEPER = """
import sys, datetime
from attachd.ledger.lock import Holder, LedgerLock
me = Holder(pid=77, host="there", started_at=datetime.datetime.now(datetime.UTC))
lock = LedgerLock.acquire(sys.argv[1], me)
lock.sign()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def keeper(path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


class TestLock:
    """One service per ledger."""

    def test_holder_is_named_and_free_again(self, path):
        """While it is held everybody can see by whom; afterwards nobody holds it, and the file stays."""
        Path(path).touch()
        assert holder_of(path) is None
        lock = LedgerLock.acquire(path, HOLDER)
        assert holder_of(path) == HOLDER
        with pytest.raises(LedgerInUse, match=r"process 4242 on station-3, since 2026-03-01T12:00:00.000Z"):
            LedgerLock.acquire(path, HOLDER)
        lock.release()
        assert holder_of(path) is None
        assert Path(f"{path}.lock").exists()

    def test_killed_holder_is_not_reported(self, path, keeper):
        """Kill -9 frees the lock, whatever the file says."""
        assert holder_of(path).pid == 77
        with pytest.raises(LedgerInUse, match="process 77 on there"):
            LedgerLock.acquire(path, HOLDER)
        keeper.kill()
        keeper.wait()
        assert holder_of(path) is None
        LedgerLock.acquire(path, HOLDER).release()

    def test_what_a_killed_service_was_just_starting_is_waited_for(self, path):
        """It has the lock until it begins: an instant, in which a start comes through."""
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        Path(path).touch()
        left = LedgerLock.acquire(path, replace(HOLDER, pid=ended.pid, host=socket.gethostname()))
        timer = Timer(0.2, left.release)
        timer.start()
        LedgerLock.acquire(path, HOLDER).release()
        timer.join()

    def test_a_service_that_lives_on_this_machine_is_named_at_once(self, path):
        """It is no remnant, and is not waited for."""
        Path(path).touch()
        lock = LedgerLock.acquire(path, replace(HOLDER, pid=os.getpid(), host=socket.gethostname()))
        with pytest.raises(LedgerInUse, match=f"process {os.getpid()}"):
            LedgerLock.acquire(path, HOLDER)
        lock.release()

    def test_child_programs_do_not_keep_the_lock(self, path):
        """The descriptor is closed on exec."""
        lock = LedgerLock.acquire(path, HOLDER)
        child = subprocess.Popen(
            [sys.executable, "-c", "print('up', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
        try:
            assert child.stdout.readline() == b"up\n"
            lock.release()
            assert holder_of(path) is None
        finally:
            child.communicate(b"\n")

    def test_asking_does_not_keep_a_start_from_succeeding(self, path):
        """`status` holds the lock shared for an instant; a start in that instant comes through."""
        LedgerLock.acquire(path, HOLDER).release()
        with Path(f"{path}.lock").open() as asker:
            fcntl.flock(asker, fcntl.LOCK_SH)
            instant = Timer(0.1, fcntl.flock, (asker, fcntl.LOCK_UN))
            instant.start()
            lock = LedgerLock.acquire(path, HOLDER)
            lock.sign()
            instant.join()
        assert holder_of(path) == HOLDER
        lock.release()

    def test_lock_that_others_keep_shared_is_in_use(self, path, monkeypatch):
        """A start does not wait for ever for a program that keeps asking."""
        monkeypatch.setattr("attachd.ledger.lock._PAUSE", 0.001)
        LedgerLock.acquire(path, HOLDER).release()
        with Path(f"{path}.lock").open() as asker:
            fcntl.flock(asker, fcntl.LOCK_SH)
            with pytest.raises(LedgerInUse):
                LedgerLock.acquire(path, HOLDER)

    def test_lock_that_is_taken_but_not_signed_yet_is_in_use(self, path):
        """Between taking the lock and writing the name a second start is refused all the same."""
        lock = LedgerLock.acquire(path, HOLDER)
        Path(f"{path}.lock").write_text("")
        with pytest.raises(LedgerInUse, match="just started"):
            LedgerLock.acquire(path, HOLDER)
        assert holder_of(path) is None
        lock.release()

    def test_next_holder_learns_which_run_was_the_last(self, path):
        """A ledger that does not know that run was put back from a copy."""
        lock = LedgerLock.acquire(path, HOLDER)
        assert lock.former_run == ""
        lock.sign("run 7")
        assert holder_of(path).run == "run 7"
        lock.release()
        again = LedgerLock.acquire(path, HOLDER)
        assert again.former_run == "run 7"
        again.release()

    def test_directory_that_is_not_there_is_said(self, tmp_path):
        """The lock is where the ledger is, or nowhere."""
        with pytest.raises(LedgerError, match="cannot be opened"):
            LedgerLock.acquire(str(tmp_path / "no" / "attachd.db"), HOLDER)


class TestLostLedger:
    """A ledger that is gone is not replaced by an empty one unasked."""

    def test_first_start_needs_no_word(self, path):
        """Where nothing is, a new ledger may be made; where one is, it is used."""
        assert refuse_lost_ledger(path) is None
        Path(path).touch()
        Path(f"{path}.backup").touch()
        assert refuse_lost_ledger(path) is None

    def test_lock_of_a_former_run_asks_for_a_word(self, path):
        """A lock file that names a run says that there was a ledger."""
        Path(path).touch()
        LedgerLock.acquire(path, HOLDER).release()
        Path(path).unlink()
        with pytest.raises(LedgerError, match="is missing") as raised:
            refuse_lost_ledger(path)
        assert "--new-ledger" in raised.value.hint

    def test_backup_is_named_as_the_way_back(self, path):
        """The hint leads with the copy."""
        Path(f"{path}.backup").touch()
        with pytest.raises(LedgerError, match="its backup") as raised:
            refuse_lost_ledger(path)
        assert raised.value.hint.startswith("copy the backup")

    def test_start_that_failed_before_there_was_a_ledger_is_no_loss(self, path):
        """A first start that could not make the ledger leaves no trace that looks like a lost one."""
        LedgerLock.acquire(path, HOLDER).release()
        assert Path(f"{path}.lock").read_text() == ""
        assert refuse_lost_ledger(path) is None
