"""Faults of the process and of whoever reads its log: nothing is lost, doubled or stalled for ever."""

import contextlib
import os
import resource
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MANY = 400


def test_log_reader_that_goes_away_stops_nothing(machine):
    """With the pipe closed the service goes on, silently, and ends well."""
    reading, writing = os.pipe()
    service = machine.begin(stderr=writing)
    os.close(writing)
    os.close(reading)
    machine.drop_many("silent", 5)
    machine.expect("silent", 5)
    assert machine.end(service) == 0


def test_log_that_nobody_reads_stalls_nothing(machine):
    """A full pipe costs lines, never deliveries; whoever reads again is told how many are missing."""
    reading, writing = os.pipe()
    service = machine.begin(stderr=writing)
    os.close(writing)
    os.set_blocking(reading, False)
    machine.drop_many("unread", MANY)
    machine.expect("unread", MANY)
    said = b""
    with contextlib.suppress(BlockingIOError):
        while some := os.read(reading, 65536):
            said += some
    machine.drop_many("read", 1)
    machine.expect("read", 1)

    def told():
        nonlocal said
        with contextlib.suppress(BlockingIOError):
            said += os.read(reading, 65536)
        return b"log_lines_dropped" in said

    machine.wait_until(told, "the missing lines are counted")
    assert machine.end(service) == 0
    os.close(reading)


def test_log_that_was_full_before_the_start_stalls_nothing(machine):
    """The start, every delivery and the stop go on although not one line can be written."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    service = machine.begin(stderr=writing)
    machine.drop_many("full", 5)
    machine.expect("full", 5)
    assert machine.end(service) == 0
    os.close(writing)
    os.close(reading)


def test_without_file_descriptors_it_waits_and_heals(machine):
    """While nothing can be opened nothing is lost; once there are descriptors again all is attached once."""
    service = machine.begin()
    machine.drop_many("before", 2)
    machine.expect("before", 2)
    used = sum(1 for _ in Path(f"/proc/{service.pid}/fd").iterdir())
    before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (used - 3, before[1]))
    machine.drop_many("while", 20)
    machine.wait_until(
        lambda: "Too many open files" in machine.log() or "cannot be opened" in machine.log(),
        "the trouble is told",
    )
    assert service.poll() is None
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
    machine.expect("while", 20)
    assert machine.end(service) == 0


def test_without_memory_it_ends_or_goes_on_and_loses_nothing(machine):
    """With no address space left it may end, and says so; the next start delivers the rest once."""
    service = machine.begin()
    machine.drop_many("before", 2)
    machine.expect("before", 2)
    pages = int(Path(f"/proc/{service.pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 200_000
    resource.prlimit(service.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    for number in range(12):
        machine.put(f"st-1/42/big-{number}.jpg", bytes([number]) * 3_000_000)
    end = time.monotonic() + 20
    while service.poll() is None and time.monotonic() < end and len(machine.names()) < 14:
        time.sleep(0.1)
    if service.poll() is None:
        resource.prlimit(service.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        assert service.returncode not in {0, 78}
        machine.begin()
    machine.expect("big", 12)


def test_stopped_process_goes_on_where_it_was(machine):
    """SIGSTOP for longer than every timeout, in the middle of transfers: nothing is doubled after SIGCONT."""
    machine.write_rules(read="2s")
    service = machine.begin()
    machine.drop_many("frozen", 30)
    machine.wait_until(lambda: len(machine.names()) >= 3, "some are attached")
    service.send_signal(signal.SIGSTOP)
    time.sleep(6)
    service.send_signal(signal.SIGCONT)
    machine.wait_until(lambda: set(machine.states().values()) <= {"done", "held"}, "every one has an end")
    held = [path for path, state in machine.states().items() if state == "held"]
    assert len(machine.names()) == len(set(machine.names()))
    assert len(machine.names()) >= 30 - len(held)
    assert machine.end(service) == 0


def test_first_ledger_and_backup_are_durable(machine, require):
    """The new ledger's name and the backup are synced in the order that a power cut cannot break."""
    require(tool="strace")
    trace = machine.directory / "trace"
    machine.before = [
        "strace",
        "-f",
        "-y",
        "-o",
        str(trace),
        "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2",
    ]
    done = machine.once()
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ")[2].strip() for line in trace.read_text().splitlines()]
    copied = next(n for n, line in enumerate(lines) if line.startswith("fsync(") and ".backup.new>" in line)
    renamed = next(n for n, line in enumerate(lines) if line.startswith("rename") and '.db.backup"' in line)
    directory = [
        n for n, line in enumerate(lines) if line.startswith("f") and f"<{machine.directory}>)" in line
    ]
    assert copied < renamed < directory[-1]
    assert directory[0] < copied  # made durable with the ledger's first write
    assert any("fdatasync(" in line and "attachd.db-wal>" in line for line in lines)
