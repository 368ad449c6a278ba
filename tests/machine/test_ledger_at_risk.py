"""A ledger that is deleted, replaced or damaged, and the way back from its backup."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from attachd.ledger.keeping import LedgerFile

pytestmark = pytest.mark.slow

MANY = """
    PRAGMA synchronous = OFF;
    BEGIN;
    INSERT INTO directories (id, folder_id, path) VALUES (1000, 1, 'gone');
    CREATE TEMP TABLE many AS
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        SELECT i, 'photo-' || i AS name, '2026-01-01T00:00:00.000Z' AS at FROM n;
    INSERT INTO files (directory_id, name, version, size, mtime_ns, ctime_ns, standing, first_seen,
        updated_at)
        SELECT 1000, name, 1, 7, i, i, 'matched', at, at FROM many;
    INSERT INTO deliveries (folder_id, directory_id, name, version, rule, destination, target, filename,
        dedupe, state, detail, changed_by, created_at, updated_at)
        SELECT 1, 1000, name, 1, 'photos', 'ion', '{}', name, 1, 'ready', 'settled', 'intake', at, at
        FROM many;
    UPDATE deliveries SET state = 'active', run = 'run 1';
    UPDATE deliveries SET state = 'done', run = NULL, remote_id = '7';
    COMMIT;
"""


def beside(ledger, suffix):
    return ledger.with_name(ledger.name + suffix)


def overwrite(ledger, start, count):
    """Put noise over a part of the file, in place."""
    with ledger.open("r+b") as file:
        file.seek(start)
        file.write(b"\xde\xad" * (count // 2))


def checkpoint(ledger):
    """Bring everything into the file itself, so that nothing in the -wal can mend it."""
    with closing(sqlite3.connect(ledger)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def backed_up(machine):
    machine.wait_until(beside(machine.ledger, ".backup").exists, "the first backup")


def test_deleted_while_running_ends_the_service(machine):
    """It notices, says so and ends; the next start asks what is meant and names the ways back."""
    service = machine.begin()
    backed_up(machine)
    machine.ledger.unlink()
    assert service.wait(60) == 1
    assert "ledger_replaced" in machine.log()
    again = machine.call("run")
    assert again.returncode == 1
    assert "is missing, though its backup" in again.stderr
    assert "--new-ledger" in again.stderr


def test_replaced_while_running_ends_the_service(machine):
    """Another file under the name is not written to, and what the service had in hand is not lost."""
    service = machine.begin()
    backed_up(machine)
    backup = beside(machine.ledger, ".backup")
    copied = machine.ledger.with_name("other.db")
    shutil.copy(backup, copied)
    copied.replace(machine.ledger)
    assert service.wait(60) == 1
    assert "ledger_replaced" in machine.log()
    machine.begin()
    assert "ledger_put_back" in machine.log()


@pytest.mark.parametrize("what", ["header", "pages"])
def test_damaged_while_running_ends_the_service(machine, what):
    """A ledger whose bytes are not SQLite's is no passing trouble: the service ends and says how to go on."""
    service = machine.begin()
    machine.drop_many("before", 3)
    machine.expect("before", 3)
    checkpoint(machine.ledger)
    size = machine.ledger.stat().st_size
    overwrite(machine.ledger, 0, 100) if what == "header" else overwrite(machine.ledger, 4096, size - 4096)
    machine.drop_many("while", 3)
    assert service.wait(60) == 1
    assert "ending" in machine.log()
    assert "--new-ledger" in machine.log()
    assert len(machine.names()) == len(set(machine.names()))


def test_way_back_from_a_damaged_ledger_doubles_nothing(machine):
    """With the backup in its place, what may have been attached meanwhile is held, and all else goes on."""
    service = machine.begin()
    machine.drop_many("before", 3)
    machine.expect("before", 3)
    backed_up(machine)
    machine.drop_many("lost", 3)
    machine.expect("lost", 3)
    machine.kill(service)
    log = beside(machine.ledger, "-wal").read_bytes()
    checkpoint(machine.ledger)
    overwrite(machine.ledger, 4096, machine.ledger.stat().st_size - 4096)
    refused = machine.call("run")
    assert refused.returncode == 1
    assert "is damaged" in refused.stderr
    assert f"put {machine.ledger}.backup in its place" in refused.stderr
    # The old -wal is forgotten there on purpose: it must not be written into the backup.
    beside(machine.ledger, "-wal").write_bytes(log)
    shutil.copy(beside(machine.ledger, ".backup"), machine.ledger)
    machine.begin()
    machine.drop_many("after", 2)
    machine.expect("after", 2)
    machine.wait_until(lambda: list(machine.states().values()).count("held") == 3, "three in doubt")
    machine.expect("before", 3)
    machine.expect("lost", 3)
    rows = [row for row in machine.list() if row["state"] == "held"]
    assert {row["error"]["kind"] for row in rows} == {"unknown_outcome"}
    assert "put back from a copy of 20" in rows[0]["error"]["message"]
    machine.call("retry", "--all")
    machine.wait_until(lambda: list(machine.states().values()).count("held") == 3, "nothing goes by itself")
    machine.expect("lost", 3)
    assert machine.call("resolve", str(rows[0]["id"]), "--not-attached").returncode == 0
    machine.wait_until(lambda: len(machine.names()) == 9, "sent by a person's word")
    other = machine.call("resolve", str(rows[1]["id"]), "--attached", "1234")
    assert other.returncode == 0, other.stderr
    assert list(machine.states().values()).count("held") == 1


def test_any_older_copy_is_noticed_by_the_lock(machine):
    """A copy that attachd did not make does not know the run that had the lock last."""
    first = machine.begin()
    machine.drop_many("before", 2)
    machine.expect("before", 2)
    assert machine.end(first) == 0
    copied = machine.ledger.with_name("copied.db")
    shutil.copy(machine.ledger, copied)
    second = machine.begin()
    machine.drop_many("lost", 2)
    machine.expect("lost", 2)
    assert machine.end(second) == 0
    copied.replace(machine.ledger)
    machine.begin()
    machine.wait_until(lambda: list(machine.states().values()).count("held") == 2, "two in doubt")
    machine.expect("lost", 2)


def test_new_ledger_keeps_the_backup_of_the_old_one(machine):
    """Whoever begins anew can still change his mind: the old backup is not overwritten."""
    service = machine.begin()
    backed_up(machine)
    machine.end(service)
    old = beside(machine.ledger, ".backup").read_bytes()
    machine.ledger.unlink()
    assert machine.once("--new-ledger").returncode == 0
    assert beside(machine.ledger, ".backup.old").read_bytes() == old
    assert machine.once().returncode == 0
    assert "ledger_put_back" not in machine.log()


def test_large_ledger_is_ready_soon(machine):
    """A hundred thousand deliveries are checked and judged without keeping the start waiting."""
    machine.once()
    with closing(sqlite3.connect(machine.ledger, isolation_level=None)) as ledger:
        ledger.executescript(MANY)
    began = os.times().elapsed
    assert LedgerFile(str(machine.ledger)).check(1.0) in {True, False}
    assert os.times().elapsed - began < 2.0
    assert LedgerFile(str(machine.ledger)).check(0.0) is False
    beside(machine.ledger, ".backup").unlink()
    machine.begin()
    backed_up(machine)
    assert Path(f"{machine.ledger}.backup").stat().st_size > 10_000_000
