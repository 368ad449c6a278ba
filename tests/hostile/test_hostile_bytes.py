import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

GIB = 1024**3
GROWER = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    print("ready", flush=True)
    while True:
        file.write(b"one more line\\n")
        time.sleep(0.02)
"""


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def digests(bench):
    """Give the SHA-256 of each attachment."""
    return sorted(attachment.sha256 for attachment in bench.simulator.attachments)


def read_bytes_of(process):
    """Give how many bytes a process has read so far (proc_pid_io(5), rchar)."""
    return int(Path(f"/proc/{process.pid}/io").read_text().split()[1])


def test_a_sparse_file_of_6_gib_is_refused_unread(bench, rules_with, monkeypatch):
    """Larger than `max_file_size`: held as too large, without a byte of it read or sent."""
    rules_with()
    with (bench.drop / "huge.bin").open("wb") as file:
        file.truncate(6 * GIB)
        os.posix_fallocate(file.fileno(), 0, 4096)
    driver = bench.driver(
        "import attachd.core.settling as settling\n"
        "settling.LONG_WAIT_FLOOR = 0.5\n"
        "settling.LONG_WAIT_FACTOR = 1\n"
    )
    bench.put("small.bin", b"small")
    service = bench.start(driver)
    bench.wait_until(lambda: bench.states() == {"huge.bin": "held", "small.bin": "done"}, "held, done")
    assert read_bytes_of(service) < GIB
    assert bench.stop(service) == 0
    (held,) = [row for row in bench.list() if row["path"] == "huge.bin"]
    assert held["error"]["kind"] == "too_large"
    assert bench.simulator.call_counts["put"] == 1


def test_a_file_that_grows_for_ever_is_never_sent_and_delays_nobody(bench, rules_with):
    """It is not settled while it grows; its neighbours are delivered, and it is when it stops."""
    rules_with()
    growing = bench.drop / "log.txt"
    writer = subprocess.Popen([sys.executable, "-c", GROWER, str(growing)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == b"ready\n"
        service = bench.start()
        for number in range(5):
            bench.put(f"{number}.png", b"%d" % number)
        bench.wait_until(lambda: len(bench.simulator.attachments) == 5, "the neighbours")
        assert "log.txt" not in bench.states()
        assert {each.filename for each in bench.simulator.attachments} == {f"{n}.png" for n in range(5)}
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    bench.wait_until(lambda: bench.states().get("log.txt") == "done", "it stopped and is attached")
    assert bench.stop(service) == 0
    assert sha256(growing.read_bytes()) in digests(bench)


def test_new_bytes_with_the_same_size_and_mtime_are_a_new_version(bench, rules_with):
    """The ctime gives them away: no program can set it back."""
    rules_with()
    file = bench.put("a.png", b"first bytes")
    assert bench.once().returncode == 0
    facts = file.stat()
    file.write_bytes(b"other bytes")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert bench.once().returncode == 0
    assert digests(bench) == sorted([sha256(b"first bytes"), sha256(b"other bytes")])


def slow_put(bench):
    bench.simulator.fault(call="put", do={"delay": 1.0})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 1, "PUT under way")
    return service


def truncate(file, _other):
    file.write_bytes(b"cut")


def replace(file, other):
    other.rename(file)


def exchange(file, other):
    file.rename(file.with_suffix(".old"))
    other.rename(file)
    file.with_suffix(".old").unlink()


@pytest.mark.parametrize(
    ("meddle", "final"), [(truncate, b"cut"), (replace, b"the other"), (exchange, b"the other")]
)
def test_a_file_changed_while_it_is_sent_is_attached_as_it_ends(bench, rules_with, meddle, final):
    """Truncated, replaced or renamed over: what is attached is whole, and is what lies there at the end."""
    rules_with()
    file = bench.put("a.png", b"a" * 300_000)
    other = bench.directory / "other.png"
    other.write_bytes(b"the other")
    service = slow_put(bench)
    meddle(file, other)
    bench.wait_until(lambda: sha256(final) in digests(bench), "the new bytes")
    bench.wait_until(lambda: bench.states() == {"a.png": "done"}, "done")
    assert bench.stop(service) == 0
    assert set(digests(bench)) <= {sha256(b"a" * 300_000), sha256(final)}


def test_a_directory_swapped_for_a_link_while_its_file_is_sent(bench, rules_with, outside, nothing_leaked):
    """The bytes under way are those of the folder; what the link shows is neither read nor attached."""
    rules_with("after: delete")
    bench.put("d/secret.png", b"inside")
    service = slow_put(bench)
    (bench.drop / "d").rename(bench.directory / "taken-away")
    (bench.drop / "d").symlink_to(outside.path)
    bench.wait_until(lambda: bench.states().get("d/secret.png") == "done", "attached: its bytes were whole")
    bench.wait_until(lambda: bench.states().get("d") == "unmatched", "the link is listed")
    assert bench.stop(service) == 0
    assert outside.file.exists()
    assert (bench.directory / "taken-away/secret.png").read_bytes() == b"inside"
    assert digests(bench) == [sha256(b"inside")]
    nothing_leaked()
