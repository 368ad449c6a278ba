import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from attachd.errors import InvariantBroken, LedgerError
from attachd.ledger.store import SqliteLedger
from attachd.model import State


@pytest.fixture
def writer(ledger):
    return ledger._writer


@pytest.fixture
def busy(writer):
    """A writer that is held up, so that what is submitted meanwhile goes in one transaction."""
    started, go_on = Event(), Event()

    def wait(connection):
        started.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor(32) as pool:
        held_up = pool.submit(writer.run, wait)
        assert started.wait(30)
        yield pool, go_on
        go_on.set()
        held_up.result(30)


def wait_until(condition):
    """Wait until a condition about the writer's inside holds."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def wait_for_jobs(writer, count):
    """Wait until so many jobs stand in the writer's queue."""
    wait_until(lambda: len(writer._jobs) >= count)


def limit_pages(writer, pages):
    """Let the ledger grow by so many pages at most: SQLite then says what it says of a full disk."""

    def limit(connection):
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + pages}")

    writer.run(limit)


def write_fact(key, value=0, size=1):
    return lambda connection: (
        connection.execute("INSERT INTO facts VALUES (?, ?, '')", (key, str(value) * size)).lastrowid
    )


class TestGroupCommit:
    """What waits to be written shares a transaction."""

    def test_many_waiting_jobs_share_commits(self, ledger, desk):
        """Sixteen threads that write at once need far fewer flushes than writes."""
        before, jobs = ledger.commits, 320
        barrier = Barrier(16)

        def drop_many(thread):
            barrier.wait(30)
            for number in range(jobs // 16):
                desk.drop(f"{thread}/{number}.jpg", target=str(number))

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(drop_many, range(16)))
        assert ledger.commits - before <= jobs / 2
        assert len(desk.claim(limit=1000)) == jobs

    def test_everything_that_waits_is_one_transaction(self, writer, busy):
        """Jobs that come while a flush is under way are durable together."""
        pool, go_on = busy
        before = writer.commits
        waiting = [pool.submit(writer.run, write_fact(f"f{number}")) for number in range(20)]
        wait_for_jobs(writer, 20)
        go_on.set()
        for each in waiting:
            each.result(30)
        assert writer.commits == before + 2

    def test_failing_job_takes_nothing_with_it(self, writer, busy, reports):
        """Its neighbours in the same transaction are written; half of it is not."""
        pool, go_on = busy

        def half(connection):
            write_fact("half")(connection)
            raise ZeroDivisionError

        good = pool.submit(writer.run, write_fact("good"))
        bad = pool.submit(writer.run, half)
        wait_for_jobs(writer, 2)
        go_on.set()
        good.result(30)
        with pytest.raises(ZeroDivisionError):
            bad.result(30)
        assert set(reports.facts()) == {"good"}

    def test_posted_work_is_written_before_what_comes_later(self, ledger, desk, reports):
        """A receipt that nobody waited for is there when the intent after it is."""
        delivery = desk.dropped("a.jpg")
        for number in range(50):
            ledger.record_receipt(delivery, f"call {number}", {"n": str(number)})
        assert ledger.record_intent(delivery, "register")
        (row,) = ledger._writer.run(
            lambda connection: connection.execute("SELECT receipts FROM deliveries").fetchall()
        )
        assert row["receipts"].count('"n"') == 50

    def test_close_writes_what_was_posted(self, desk, path):
        """Nothing that was handed in is lost at the end; afterwards there are words."""
        desk.ledger.save_facts({"last": "words"}, desk.now())
        desk.ledger.close()
        with pytest.raises(LedgerError, match="is closed"):
            desk.drop("late.jpg")
        with pytest.raises(LedgerError, match="is closed"):
            desk.ledger.known(1, "")
        reopened = SqliteLedger.open(path, create=False)
        try:
            rows = reopened._writer.run(
                lambda connection: connection.execute("SELECT * FROM facts").fetchall()
            )
        finally:
            reopened.close()
        assert [row["key"] for row in rows] == ["last"]


class TestTroubleWithTheDisk:
    """A ledger that cannot be written says so, and works again when it can."""

    def test_full_disk_is_said_and_heals(self, ledger, writer, desk):
        """The message is for a person; after it the same ledger goes on."""
        limit_pages(writer, 2)
        with pytest.raises(LedgerError, match=r"the disk that holds the ledger .* is full") as raised:
            writer.run(write_fact("big", "x", 10**6))
        assert "free some space" in raised.value.hint
        limit_pages(writer, 10**6)
        writer.run(write_fact("big", "x", 10**6))
        assert desk.drop("a.jpg")

    def test_lost_receipt_stops_the_next_call(self, ledger, writer, desk, state):
        """Where a receipt could not be written, no intent is announced on top of it; then the way is free."""
        delivery = desk.dropped("a.jpg")
        limit_pages(writer, 2)
        ledger.record_receipt(delivery, "put", {"s3_key": "k" * 10**6})
        wait_until(lambda: writer._lost)
        limit_pages(writer, 10**6)
        with pytest.raises(LedgerError, match="is full"):
            ledger.record_intent(delivery, "register")
        assert desk.move(delivery, State.READY)
        assert desk.claim()[delivery.id].receipts == {}

    def test_failing_commit_fails_everybody_in_it(self, writer, busy):
        """Who waits is told; nobody takes for durable what is not, not even what was posted."""
        pool, go_on = busy
        violated = "INSERT INTO directories VALUES (77, 999, 'no such folder')"

        def defer(connection):
            connection.execute("PRAGMA defer_foreign_keys = ON")
            connection.execute(violated)

        writer.post(write_fact("posted"), key=5)
        jobs = [pool.submit(writer.run, work) for work in (write_fact("innocent"), defer)]
        wait_for_jobs(writer, 3)
        go_on.set()
        for job in jobs:
            with pytest.raises(InvariantBroken, match="FOREIGN KEY"):
                job.result(30)
        with pytest.raises(InvariantBroken, match="FOREIGN KEY"):
            writer.run(write_fact("after"), key=5)
        writer.run(write_fact("after"), key=5)
        rows = writer.run(lambda connection: connection.execute("SELECT key FROM facts").fetchall())
        assert [row["key"] for row in rows] == ["after"]

    def test_ledger_that_another_program_keeps_locked_is_said(self, writer, path):
        """A transaction of somebody else ends in words, not in a raw error, and does no lasting harm."""
        with sqlite3.connect(path, isolation_level=None) as other:
            writer.run(lambda connection: connection.execute("PRAGMA busy_timeout = 20").close())
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match="another process has been writing"):
                writer.run(write_fact("x"))
            other.execute("ROLLBACK")
        other.close()
        writer.run(write_fact("x"))

    def test_transaction_that_sqlite_rolled_back_fails_as_a_whole(self, writer, busy, reports):
        """Some errors end the whole transaction: then nobody in it is told that it was written."""
        pool, go_on = busy

        def end_it(connection):
            connection.execute("ROLLBACK")
            raise ValueError("gone")

        jobs = [pool.submit(writer.run, work) for work in (write_fact("innocent"), end_it)]
        wait_for_jobs(writer, 2)
        go_on.set()
        for job in jobs:
            with pytest.raises(LedgerError):
                job.result(30)
        assert reports.facts() == {}
