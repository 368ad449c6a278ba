import hashlib
import json
import os
import sqlite3
import subprocess

STEP = 1_000_000


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def outage(bench):
    """Point the rules at an address where nobody listens."""
    bench.write_rules(url="http://127.0.0.1:9/graphql")


def test_links_and_pipes_stay_unmatched_over_restarts(bench):
    """What is no regular file is listed, and never becomes a delivery."""
    bench.put("st/1/real.png", b"real")
    os.mkfifo(bench.drop / "st/1/pipe.png")
    (bench.drop / "st/1/link.png").symlink_to("/etc/hostname")
    for _ in range(2):
        done = bench.once("--deadline", "20s")
        assert done.returncode == 4, done.stderr
        assert bench.states() == {
            "st/1/real.png": "done",
            "st/1/pipe.png": "unmatched",
            "st/1/link.png": "unmatched",
        }


def test_a_file_replaced_by_a_link_is_vanished_and_stays_visible(bench):
    """A proof that was never delivered is not forgotten with the thing that took its place."""
    outage(bench)
    file = bench.put("st/1/proof.png", b"proof")
    assert bench.once("--deadline", "3s").returncode == 75
    file.unlink()
    file.symlink_to("/etc/hostname")
    bench.once("--deadline", "3s")
    file.unlink()
    bench.write_rules()
    assert bench.once().returncode == 4
    assert bench.states() == {"st/1/proof.png": "vanished"}


def test_a_file_replaced_by_a_directory_is_vanished(bench):
    """A directory in a file's place means that the file is gone."""
    outage(bench)
    file = bench.put("st/1/proof.png", b"proof")
    assert bench.once("--deadline", "3s").returncode == 75
    file.unlink()
    file.mkdir()
    bench.write_rules()
    assert bench.once("--deadline", "20s").returncode == 4
    assert bench.states() == {"st/1/proof.png": "vanished"}


def test_a_file_that_was_moved_away_and_comes_back_is_attached(bench):
    """What vanished while it waited is news as soon as it is there again, with the very same signs."""
    bench.simulator.fault(call="open", do={"status": 503}, times=100_000)
    service = bench.start()
    file = bench.put("st/1/proof.png", b"proof")
    bench.wait_until(lambda: bench.states() == {"st/1/proof.png": "waiting"}, "tried and put off")
    file.parent.rename(bench.directory / "away")
    bench.wait_until(lambda: bench.states() == {"st/1/proof.png": "vanished"}, "found to be gone")
    bench.simulator.clear_faults()
    (bench.directory / "away").rename(file.parent)
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "attached")
    assert sorted(row["state"] for row in bench.list()) == ["done", "vanished"]
    bench.stop(service)


def test_a_file_deleted_while_it_is_sent_is_attached(bench):
    """Bytes that arrived whole are a proof, even where the file is gone by then."""
    file = bench.put("st/2/a.png", b"whole")
    bench.simulator.fault(call="put", do={"delay": 1.0})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 1, "PUT under way")
    file.unlink()
    bench.wait_until(lambda: bench.states() == {"st/2/a.png": "done"}, "done")
    assert bench.stop(service) == 0
    assert bench.attached() == [("st-a.png", "runStep", STEP + 2, sha256(b"whole"))]


def test_a_touch_while_it_is_sent_sends_nothing_again(bench):
    """Changed signs alone make attachd look again, not send again."""
    file = bench.put("st/2/a.png", b"whole")
    bench.simulator.fault(call="put", do={"delay": 1.0})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 1, "PUT under way")
    file.touch()
    bench.wait_until(lambda: bench.states() == {"st/2/a.png": "done"}, "done")
    assert bench.stop(service) == 0
    assert len(bench.simulator.puts) == 1
    assert len(bench.simulator.attachments) == 1


def test_bytes_rewritten_while_they_are_sent_are_attached_as_they_end(bench):
    """What changed under way is never registered; the new bytes are, once."""
    file = bench.put("st/2/a.png", b"first")
    bench.simulator.fault(call="put", do={"delay": 1.0})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 1, "PUT under way")
    file.write_bytes(b"second, and longer")
    bench.wait_until(lambda: bench.states() == {"st/2/a.png": "done"}, "done")
    assert bench.stop(service) == 0
    assert bench.attached() == [("st-a.png", "runStep", STEP + 2, sha256(b"second, and longer"))]


def test_a_folder_taken_out_of_the_rules_harms_nobody_else(bench):
    """Deliveries of a folder that is not watched any more, with their files gone, do not stop the service."""
    outage(bench)
    bench.put("st/3/a.png", b"left behind")
    assert bench.once("--deadline", "3s").returncode == 75
    bench.drop.rename(bench.directory / "away")
    other = bench.directory / "other/st/3"
    other.mkdir(parents=True)
    (other / "b.png").write_bytes(b"in the new folder")
    bench.write_rules()
    bench.rules.write_text(bench.rules.read_text().replace("path: drop", "path: other"))
    service = bench.start()
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "the file in its new folder")
    assert bench.stop(service) == 0


def test_a_ledger_deleted_while_running_is_not_replaced_silently(bench):
    """The service ends, and the next start asks for a word before it would upload everything again."""
    bench.put("st/4/a.png", b"once")
    service = bench.start()
    bench.wait_until(lambda: bench.states() == {"st/4/a.png": "done"}, "done")
    for name in ("attachd.db", "attachd.db-wal", "attachd.db-shm"):
        (bench.directory / name).unlink(missing_ok=True)
    assert service.wait(20) == 1
    again = bench.once()
    assert again.returncode == 1
    assert "--new-ledger" in again.stderr
    assert len(bench.simulator.attachments) == 1


def test_what_a_kill_in_the_first_start_leaves_is_no_obstacle(bench):
    """An empty ledger file, and a lock file without a ledger, are begun anew."""
    bench.put("st/5/a.png", b"first")
    (bench.directory / "attachd.db").touch()
    (bench.directory / "attachd.db.lock").touch()
    assert bench.call("list", "--json").stdout.strip() == "[]"
    done = bench.once()
    assert done.returncode == 0, done.stderr


def test_a_locked_ledger_is_waited_for(bench, monkeypatch):
    """An answer that arrived is written once the ledger can be written again; nothing becomes doubtful."""
    driver = bench.driver("import attachd.ledger.connection as c\nc.BUSY_SECONDS = 0.2\n")
    bench.put("st/6/a.png", b"patience")
    bench.simulator.fault(call="register", do={"delay": 1.0})
    service = bench.start(driver)
    bench.wait_until(lambda: bench.simulator.call_counts["register"] == 1, "register under way")
    blocker = sqlite3.connect(bench.directory / "attachd.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    bench.wait_until(lambda: "ledger_unwritable" in bench.log(), "the service says so")
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "registered")
    blocker.execute("ROLLBACK")
    blocker.close()
    bench.wait_until(lambda: bench.states() == {"st/6/a.png": "done"}, "written")
    assert bench.stop(service) == 0


def test_closed_standard_streams_are_no_failure(bench):
    """A caller who closes standard output or error gets the same work and exit code."""
    bench.put("st/7/a.png", b"quiet")
    command = " ".join(bench.command("run", "--once"))
    for closing in (">&-", "2>&-", "2>/dev/full"):
        done = subprocess.run(["sh", "-c", f"{command} {closing}"], check=False, cwd=bench.directory)
        assert done.returncode == 0
    assert len(bench.simulator.attachments) == 1


def test_retry_of_a_follower_goes_with_its_elder(bench):
    """Retrying the second of two files with the same bytes retries the first, and is no failure."""
    bench.put("st/900001/a.png", b"same")
    bench.put("st/900001/b.png", b"same")
    assert bench.once().returncode == 4
    behind = next(row for row in bench.list() if row["error"]["kind"] == "duplicate_of")
    done = bench.call("retry", str(behind["id"]))
    assert done.returncode == 0
    assert "follows delivery" in done.stdout


def test_a_missing_secret_is_pointed_at(bench):
    """Exit code 78, with line and column of the token in rules.yaml."""
    text = bench.rules.read_text().replace(
        f"token: {bench.simulator.token}", "token: {env: NOT_SET_ANYWHERE}"
    )
    bench.rules.write_text(text)
    line = next(i for i, each in enumerate(text.splitlines(), 1) if "NOT_SET" in each)
    done = bench.once()
    assert done.returncode == 78
    assert f"rules.yaml:{line}:" in done.stderr
    assert json.loads(bench.call("status", "--json").stdout)["running"] is False


def test_a_replaced_file_is_not_taken_for_a_touched_one(bench):
    """A file that is replaced while a worker still hashes the old bytes is delivered with the new ones."""
    driver = bench.driver(
        "import time\n"
        "from pathlib import Path\n"
        "from attachd.folders.reading import OpenFile\n"
        "whole, flag = OpenFile.sha256, Path('hashing')\n"
        "def slow(self):\n"
        "    digest = whole(self)\n"
        "    if not flag.exists():\n"
        "        flag.touch()\n"
        "        time.sleep(2)\n"
        "    return digest\n"
        "OpenFile.sha256 = slow\n"
    )
    bench.put("st/8/a.png", b"old bytes")
    service = bench.start(driver)
    bench.wait_until((bench.directory / "hashing").exists, "the worker hashes")
    new = bench.directory / "new.png"
    new.write_bytes(b"new bytes")
    new.rename(bench.drop / "st/8/a.png")
    bench.wait_until(lambda: bench.states() == {"st/8/a.png": "done"}, "done")
    assert bench.stop(service) == 0
    assert ("st-a.png", "runStep", STEP + 8, sha256(b"new bytes")) in bench.attached()


def test_other_bytes_with_the_very_same_signs_take_over_before_they_are_sent(bench):
    """As in a directory swapped for another, or where a share has seconds alone: the hash tells it."""
    waiting = [bench.put(f"st/{number}/a.png", b"bytes %d" % number) for number in (5, 6)]
    driver = bench.directory / "driver.py"
    driver.write_text(
        "from attachd.model import Signs\n"
        "same = dict(mtime_ns=10**18, ctime_ns=10**18)\n"
        "Signs.of = lambda facts: Signs(size=facts.st_size, blocks=facts.st_blocks, **same)\n"
        "from attachd.cli.main import main\n"
        "main()\n"
    )
    bench.simulator.fault(call="open", do={"status": 503}, times=100_000)
    service = bench.start(driver)
    bench.wait_until(lambda: set(bench.states().values()) == {"waiting"}, "tried and put off")
    bench.wait_until(lambda: all(row["sha256"] for row in bench.list()), "hashed")
    one, other = (file.parent for file in waiting)
    one.rename(bench.directory / "aside")
    other.rename(one)
    (bench.directory / "aside").rename(other)
    bench.simulator.clear_faults()
    bench.wait_until(lambda: len(bench.simulator.attachments) == 2, "both attached")
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "done")
    assert bench.stop(service) == 0
    assert bench.attached() == [
        ("st-a.png", "runStep", STEP + 5, sha256(b"bytes 6")),
        ("st-a.png", "runStep", STEP + 6, sha256(b"bytes 5")),
    ]


def test_times_beyond_the_calendar_are_no_obstacle(bench):
    """A file from the year 2300 or from before 1970 is attached like any other."""
    for name, time in (("future", 10_413_792_000), ("past", -1_000_000_000)):
        file = bench.put(f"st/9/{name}.png", name.encode())
        os.utime(file, (time, time))
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert len(bench.simulator.attachments) == 2


def test_on_doubt_retry_ends(bench):
    """A register that always loses its answer is not repeated for ever."""
    bench.write_rules(extra="on_doubt: retry")
    driver = bench.driver("import attachd.pipeline.dispatch as d\nd.DOUBT_SECONDS = 0.1\n")
    bench.put("st/10/a.png", b"again and again")
    bench.simulator.fault(call="register", do={"work_then": "reset"}, times=100)
    service = bench.start(driver)
    bench.wait_until(lambda: bench.states() == {"st/10/a.png": "held"}, "held")
    assert bench.stop(service) == 0
    assert 2 <= len(bench.simulator.attachments) <= 5


def test_an_unreadable_directory_does_not_end_once_too_early(bench):
    """What can be delivered is, and the exit code says that something could not be looked at."""
    bench.put("st/11/a.png", b"fine")
    locked = bench.drop / "locked"
    locked.mkdir()
    bench.simulator.fault(call="open", do={"status": 503}, times=3)
    locked.chmod(0)
    caps = "-dac_override,-dac_read_search"
    try:
        done = subprocess.run(
            ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", *bench.command("run", "--once")],
            capture_output=True,
            text=True,
            check=False,
            cwd=bench.directory,
        )
    finally:
        locked.chmod(0o755)
    assert done.returncode == 75, done.stderr
    assert len(bench.simulator.attachments) == 1
