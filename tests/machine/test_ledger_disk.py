"""Faults of the disk under the ledger: nothing is lost, nothing doubled, and it heals by itself."""

import errno
import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def fill(directory):
    """Write until the disk takes no more, and give what has to go to make room again."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512):
            while takes(file, size):
                pass
    return ballast


def takes(file, size):
    try:
        return file.write(b"x" * size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return 0


def test_full_disk_is_waited_out(disk):
    """While the ledger cannot grow nothing is lost; with room again all goes on, in one process."""
    machine = disk("mount -t tmpfs -o size=6m tmpfs disk")
    service = machine.begin()
    machine.drop_many("before", 3)
    machine.expect("before", 3)
    ballast = fill(machine.root)
    machine.drop_many("while", 40)
    machine.wait_until(lambda: "ledger_unwritable" in machine.log(), "the trouble is told")
    machine.wait_until(lambda: "ledger_not_backed_up" in machine.log(), "no backup either")
    status = machine.call("status", "--json")
    machine.wait_until(lambda: machine.call("status").returncode == 3, "status says that it is not well")
    assert json.loads(status.stdout)["pid"] == service.pid
    assert "disk that holds the ledger" in machine.log() or "fails to read or write" in machine.log()
    ballast.unlink()
    machine.expect("while", 40)
    assert service.poll() is None
    assert machine.log().count("ledger_not_backed_up") == 1
    machine.wait_until(lambda: "ledger_writable_again" in machine.log(), "told that it goes on")
    assert machine.end(service) == 0


def test_stop_while_the_disk_is_full_ends_and_loses_nothing(disk):
    """A service that cannot write can still be stopped, and its successor delivers everything once."""
    machine = disk("mount -t tmpfs -o size=6m tmpfs disk")
    service = machine.begin()
    ballast = fill(machine.root)
    machine.drop_many("while", 20)
    machine.wait_until(lambda: "ledger_unwritable" in machine.log(), "the trouble is told")
    machine.end(service)
    ballast.unlink()
    machine.begin()
    machine.expect("while", 20)


def test_disk_without_inodes_stops_the_start_with_a_reason(disk):
    """The first start needs new files beside the ledger; where none can be made it says so."""
    machine = disk("mount -t tmpfs -o size=6m,nr_inodes=8 tmpfs disk")
    fillers = [machine.root / f"filler-{number}" for number in range(100)]
    with pytest.raises(OSError, match="No space left"):
        [filler.touch() for filler in fillers]
    done = machine.call("run")
    assert done.returncode == 1
    assert "cannot be opened: No space left on device" in done.stderr
    for filler in fillers:
        filler.unlink(missing_ok=True)
    machine.begin()
    machine.drop_many("after", 2)
    machine.expect("after", 2)


def test_disk_that_became_read_only_is_told_and_nothing_is_lost(disk, require):
    """ext4 turns itself read-only on an error; after it is mended the next start delivers everything once."""
    require(tool="mkfs.ext4")
    machine = disk(
        "truncate -s 40M disk.img && mkfs.ext4 -q -F disk.img"
        " && mount -o loop,errors=remount-ro disk.img disk"
    )
    device = Path(machine.inside("findmnt -n -o SOURCE disk").stdout.strip()).name
    service = machine.begin()
    machine.drop_many("before", 3)
    machine.expect("before", 3)
    machine.inside(f"echo 1 > /sys/fs/ext4/{device}/trigger_fs_error")
    machine.drop_many("while", 10)
    machine.wait_until(lambda: "ledger_unwritable" in machine.log(), "the trouble is told")
    machine.end(service)
    machine.inside("umount disk && (e2fsck -y disk.img || true) && mount -o loop disk.img disk")
    machine.begin()
    machine.expect("before", 3)
    machine.expect("while", 10)


@pytest.mark.parametrize(
    "injection",
    [
        "fdatasync:error=EIO:when=12..22",
        "pwrite64:error=EIO:when=60..90",
        "pwrite64:error=ENOSPC:when=60..90",
    ],
)
def test_failing_writes_and_syncs_are_waited_out(machine, require, injection):
    """A disk that fails for a while costs time: each file is attached once, by the same process."""
    require(tool="strace")
    assert machine.once().returncode == 0
    call = injection.partition(":")[0]
    machine.before = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={injection}",
    ]
    service = machine.begin()
    machine.before = []
    for number in range(6):
        machine.drop_many(f"lot{number}", 5)
        machine.expect(f"lot{number}", 5)
    assert "fails to read or write the ledger" in machine.log() or "is full" in machine.log()
    assert service.poll() is None
