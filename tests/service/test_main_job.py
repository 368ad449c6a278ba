import hashlib
import json
import os
import random
import shutil
import signal
import subprocess

import pytest

STEP, RUN, PART = 1_000_000, 2_000_000, 5_000_000


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def mixed(count, seed):
    """Make paths and contents of three kinds, and what they must become."""
    rng = random.Random(seed)
    files, expected = {}, []
    for number in range(count):
        content = rng.randbytes(rng.choice([0, 1, 700, 70_000, 1_500_000])) + str((seed, number)).encode()
        which = number % 3
        if which == 0:
            path = f"st-{number}/{number + 1}/top/a b {seed}.JPG"
            expected.append((f"st-{number}-a b {seed}.JPG", "runStep", STEP + number + 1, sha256(content)))
        elif which == 1:
            path = f"parts/{number + 1}/Prüfbericht {seed}.txt"
            expected.append((f"Prüfbericht {seed}.txt", "part", PART + number + 1, sha256(content)))
        else:
            path = f"run-{1000 * seed + number}.pdf"
            expected.append((path, "run", RUN + 1000 * seed + number, sha256(content)))
        files[path] = content
    return files, expected


def test_every_file_is_attached_once_to_the_right_entity(bench):
    """Files that lay there and files dropped later are all attached, once, with right bytes and name."""
    before, expected = mixed(20, seed=1)
    during, more = mixed(60, seed=2)
    for path, content in before.items():
        bench.put(path, content)
    bench.put("notes.txt", b"no rule takes this")
    service = bench.start()
    for path, content in during.items():
        bench.put(path, content)
    bench.simulator.wait_for(lambda: len(bench.simulator.attachments) >= 80, 60)
    bench.wait_until(lambda: set(bench.states().values()) == {"done", "unmatched"}, "all done")
    assert bench.stop(service) == 0
    assert bench.attached() == sorted(expected + more)
    assert [row["path"] for row in bench.list("--state", "unmatched")] == ["notes.txt"]

    puts = len(bench.simulator.puts)
    done = bench.once()
    assert done.returncode == 4, done.stderr  # the unmatched file
    service = bench.start()
    bench.wait_until(
        lambda: json.loads(bench.call("status", "--json").stdout)["folders"][0]["last_scan_at"], "a scan"
    )
    assert bench.stop(service) == 0
    assert len(bench.simulator.puts) == puts
    assert len(bench.simulator.attachments) == 80


def test_once_on_an_empty_folder_is_well(bench):
    """Nothing to do is exit code 0."""
    done = bench.once()
    assert done.returncode == 0, done.stderr


def test_kill_during_put_loses_and_doubles_nothing(bench):
    """A service killed while bytes are on their way sends the file again at the next start, once."""
    content = random.Random(3).randbytes(3_000_000)
    bench.put("st/7/big.png", content)
    bench.simulator.fault(call="put", do={"delay": 5.0})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 1, "PUT under way")
    bench.kill(service)
    bench.simulator.clear_faults()
    service = bench.start()
    bench.wait_until(lambda: bench.states() == {"st/7/big.png": "done"}, "done")
    bench.stop(service)
    assert bench.attached() == [("st-big.png", "runStep", STEP + 7, sha256(content))]


DRIVER = """
import os, signal
from dataclasses import replace
from datetime import UTC, datetime
from attachd.core.protocols import Change
from attachd.ledger.store import SqliteLedger
from attachd.model import State

def die(self, delivery, call):
    # The receipt of the PUT is queued before; a later waited write makes it durable.
    self.save_facts({"probe": 1}, datetime.now(UTC))
    self.newer_version_exists(delivery)
    self.change(replace(delivery, id=-1), WAITED)
    os.kill(os.getpid(), signal.SIGKILL)

WAITED = Change(to=State.READY, at=datetime.now(UTC), by="test")
SqliteLedger.record_intent = die
"""


def test_kill_between_put_and_intent_sends_no_bytes_again(bench):
    """A PUT that was recorded is not made again: the next run goes straight on to register."""
    bench.put("st/8/a.png", b"sent once")
    service = bench.start(bench.driver(DRIVER))
    assert service.wait(30) == -signal.SIGKILL
    assert len(bench.simulator.puts) == 1
    assert bench.simulator.attachments == ()
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert len(bench.simulator.puts) == 1
    assert bench.attached() == [("st-a.png", "runStep", STEP + 8, sha256(b"sent once"))]


def test_kill_between_register_and_its_answer_is_doubt(bench):
    """An unanswered register is doubtful, then held, and never made again."""
    bench.put("st/9/a.png", b"once only")
    bench.simulator.fault(call="register", do={"work_then": "hang"})
    service = bench.start()
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "registered")
    bench.kill(service)
    bench.simulator.clear_faults()
    done = bench.once()
    assert done.returncode == 4, done.stderr
    (row,) = bench.list()
    assert row["state"] == "held"
    assert row["error"]["kind"] == "unknown_outcome"
    history = json.loads(bench.call("show", str(row["id"]), "--json").stdout)["history"]
    assert [step["to"] for step in history] == ["ready", "active", "doubtful", "held"]
    assert len(bench.simulator.attachments) == 1
    bench.call("retry", "--all")
    bench.once()
    assert len(bench.simulator.attachments) == 1


def test_on_doubt_retry_accepts_a_double(bench):
    """With `on_doubt: retry` the lost call is made again, and the history says so."""
    bench.write_rules(read="300ms", extra="on_doubt: retry")
    bench.put("st/9/a.png", b"twice if need be")
    bench.simulator.fault(call="register", do={"work_then": "reset"})
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert len(bench.simulator.attachments) == 2
    assert len(bench.simulator.puts) == 1


@pytest.mark.slow
def test_the_same_bytes_twice_are_one_attachment(bench):
    """Of two files with the same bytes for one target the first is attached, the second a duplicate."""
    bench.put("st/5/a.png", b"same")
    assert bench.once().returncode == 0
    bench.put("st/5/sub/b.png", b"same")
    assert bench.once().returncode == 0
    assert bench.states() == {"st/5/a.png": "done", "st/5/sub/b.png": "duplicate"}
    assert len(bench.simulator.attachments) == 1


@pytest.mark.slow
def test_a_follower_of_a_held_elder_is_not_delivered(bench):
    """While the first is held, the second does not count as delivered; it takes the elder's fate."""
    bench.put("st/900001/a.png", b"same")
    assert bench.once().returncode == 4
    bench.put("st/900001/b.png", b"same")
    assert bench.once().returncode == 4
    rows = {row["path"]: row for row in bench.list()}
    assert {row["state"] for row in rows.values()} == {"held"}
    assert rows["st/900001/a.png"]["error"]["kind"] == "unknown_target"
    assert rows["st/900001/b.png"]["error"]["kind"] == "duplicate_of"


def test_held_files_do_not_delay_their_neighbours(bench):
    """Unknown entity and missing permission are held with kind, message and hint; the others go through."""
    bench.put("st/900002/a.png", b"nobody knows this step")
    bench.put("st/800002/b.png", b"nobody may attach here")
    for number in range(5):
        bench.put(f"st/{number + 1}/ok.png", b"fine %d" % number)
    assert bench.once().returncode == 4
    rows = {row["path"]: row for row in bench.list()}
    assert rows["st/900002/a.png"]["error"]["kind"] == "unknown_target"
    assert rows["st/800002/b.png"]["error"]["kind"] == "permission"
    assert all(rows[path]["error"]["hint"] for path in ("st/900002/a.png", "st/800002/b.png"))
    assert len(bench.simulator.attachments) == 5


def test_a_stop_drains_the_transfer_under_way(bench):
    """SIGTERM lets a running transfer finish and ends with 0."""
    bench.put("st/3/slow.png", b"slow but sure")
    bench.simulator.fault(call="put", do={"delay": 1.0})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 1, "PUT under way")
    assert bench.stop(service) == 0
    assert len(bench.simulator.attachments) == 1
    assert bench.states() == {"st/3/slow.png": "done"}


def test_trouble_that_passes_is_retried(bench):
    """503, a reset and an expired URL cost attempts and nothing else."""
    bench.put("st/4/a.png", b"stubborn")
    bench.simulator.fault(call="open", do={"status": 503})
    bench.simulator.fault(call="put", do="expired")
    bench.simulator.fault(call="put", do="reset")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert bench.attached() == [("st-a.png", "runStep", STEP + 4, sha256(b"stubborn"))]
    assert bench.simulator.faults_left == []


@pytest.mark.slow
def test_a_wrong_token_closes_the_gate_and_burns_nothing(bench):
    """A refused token ends `run --once` with 75, no attempt counted, and says what to do."""
    text = bench.rules.read_text()
    bench.rules.write_text(text.replace(bench.simulator.token, "wrong-token-canary"))
    bench.put("st/4/a.png", b"locked out")
    done = bench.once()
    assert done.returncode == 75, done.stderr
    assert "wrong-token-canary" not in done.stderr + done.stdout
    (row,) = bench.list()
    assert (row["state"], row["attempts"]) == ("ready", 0)
    bench.rules.write_text(text)
    assert bench.once().returncode == 0


@pytest.mark.slow
def test_an_unreachable_destination_ends_once_with_75(bench):
    """A dead server leaves everything in the ledger for later."""
    url = bench.simulator.graphql_url
    bench.simulator.stop()
    bench.write_rules(url=url)
    bench.put("st/4/a.png", b"later")
    done = bench.once("--deadline", "20s")
    assert done.returncode == 75, done.stderr
    (row,) = bench.list()
    assert row["state"] in {"ready", "waiting"}
    assert row["error"]["kind"] == "network"


def test_changed_bytes_are_a_new_version_and_a_touch_is_none(bench):
    """Only another hash makes a new version of a path."""
    file = bench.put("st/6/a.png", b"one")
    assert bench.once().returncode == 0
    file.touch()
    assert bench.once().returncode == 0
    assert [row["version"] for row in bench.list()] == [1]
    file.write_bytes(b"two")
    assert bench.once().returncode == 0
    assert sorted((row["version"], row["state"]) for row in bench.list()) == [(1, "done"), (2, "done")]
    assert len(bench.simulator.attachments) == 2


@pytest.mark.slow
def test_a_corrected_file_supersedes_a_held_one(bench):
    """New bytes at a path take over from what was not delivered."""
    file = bench.put("st/900003/a.png", b"one")
    assert bench.once().returncode == 4
    file.write_bytes(b"two, longer")
    assert bench.once().returncode == 4
    assert sorted((row["version"], row["state"]) for row in bench.list()) == [(1, "superseded"), (2, "held")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        b"new\nline.png",
        b"quo'te\".png",
        b"br{ace}s {run_step}.png",
        b"\x1b[31mred\x1b[0m.png",
        b"not utf-8 \xff\xfe.png",
        b"back\\slash.png",
        b"-rf.png",
        "Prüfung ✓.png".encode(),
    ],
)
def test_odd_names_are_attached_as_they_are(bench, name):
    """Every name that a file system takes reaches ION, in the escaped form where it has no text."""
    bench.put("st/11/" + os.fsdecode(name), b"odd")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    (attachment,) = bench.simulator.attachments
    expected = name.replace(b"\\", b"\\x5c").replace(b"\xff\xfe", b"\\xff\\xfe").decode()
    assert attachment.filename == "st-" + expected
    assert bench.list()[0]["path"] == "st/11/" + expected
    listing = bench.call("list").stdout
    assert "\x1b[31m" not in listing


def test_a_file_of_zero_bytes_is_attached(bench):
    """Zero bytes are a file like any other, and two of them under different names are two."""
    bench.put("st/12/a.png", b"")
    bench.put("st/12/b.png", b"")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert [a.size for a in bench.simulator.attachments] == [0, 0]


def test_a_file_over_the_limit_is_held_before_any_call(bench):
    """A file over max_file_size is held with kind too_large, and nothing is asked of ION."""
    bench.write_rules(extra="limits: {max_file_size: 1 KiB}")
    bench.put("st/13/big.png", b"x" * 2000)
    assert bench.once().returncode == 4
    assert bench.list()[0]["error"]["kind"] == "too_large"
    assert bench.simulator.call_counts["open"] == 0


def test_a_missing_folder_is_an_outage_of_that_folder(bench):
    """The other folders go on, and `run --once` ends with 75."""
    text = bench.rules.read_text()
    second = text[text.index("  - path: drop") :].replace("path: drop", "path: missing")
    for name in ("photos", "part documents", "reports"):
        second = second.replace(name, name + " 2")
    bench.rules.write_text(text + second.lstrip("\n"))
    bench.put("st/14/a.png", b"here")
    done = bench.once()
    assert done.returncode == 75, done.stderr
    assert len(bench.simulator.attachments) == 1


@pytest.mark.slow
def test_an_unreadable_file_waits_and_says_so(bench):
    """A file that cannot be read is tried again, visibly, and its neighbour goes through."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed")
    bench.put("st/15/locked.png", b"secret").chmod(0)
    bench.put("st/15/open.png", b"open")
    caps = "-dac_override,-dac_read_search"
    done = subprocess.run(
        [
            setpriv,
            f"--bounding-set={caps}",
            f"--inh-caps={caps}",
            *bench.command("run", "--once", "--deadline", "4s"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=bench.directory,
    )
    assert done.returncode == 75, done.stderr
    rows = {row["path"]: row for row in bench.list()}
    assert rows["st/15/open.png"]["state"] == "done"
    assert rows["st/15/locked.png"]["state"] == "waiting"
    assert rows["st/15/locked.png"]["error"]["kind"] == "unreadable"


@pytest.mark.slow
def test_a_file_gone_before_delivery_is_vanished(bench):
    """A file that was seen and is gone before it was delivered needs a person."""
    bench.write_rules(extra="workers: 1")
    bench.put("st/16/a.png", b"first")
    bench.simulator.fault(call="put", do={"delay": 3.0})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 1, "the only worker is busy")
    second = bench.put("st/16/b.png", b"second")
    bench.wait_until(lambda: "st/16/b.png" in bench.states(), "second seen")
    second.unlink()
    bench.wait_until(lambda: bench.states() == {"st/16/a.png": "done", "st/16/b.png": "vanished"}, "vanished")
    bench.stop(service)


def test_a_second_run_is_refused_and_names_the_first(bench):
    """One `run` per ledger: the second ends with 75 and names the holder."""
    service = bench.start()
    bench.wait_until(
        lambda: json.loads(bench.call("status", "--json").stdout or "{}").get("running"), "running"
    )
    done = bench.once()
    assert done.returncode == 75
    assert str(service.pid) in done.stderr
    assert bench.stop(service) == 0


@pytest.mark.slow
def test_retry_is_noticed_by_the_running_service(bench):
    """`retry` from another process makes the service try again within a second or so."""
    bench.put("st/17/a.png", b"again")
    bench.simulator.fault(call="register", do={"graphql_error": "Something is off"})
    service = bench.start()
    bench.wait_until(lambda: bench.states() == {"st/17/a.png": "held"}, "held")
    (row,) = bench.list()
    assert bench.call("retry", str(row["id"])).returncode == 0
    bench.wait_until(lambda: bench.states() == {"st/17/a.png": "done"}, "done", 5)
    assert len(bench.simulator.puts) == 1
    bench.stop(service)


def test_no_secret_and_no_signed_url_is_let_out(bench):
    """Neither the token nor a signature occurs in log, ledger or output, at debug level."""
    text = bench.rules.read_text()
    bench.rules.write_text(text + "service: {log: {level: debug}}\n")
    bench.put("st/18/a.png", b"quiet")
    bench.simulator.fault(
        call="put", do={"status": 403, "body": "<Error><Code>SignatureDoesNotMatch</Code></Error>"}
    )
    done = bench.once()
    assert done.returncode == 0, done.stderr
    everything = done.stderr.encode() + done.stdout.encode()
    everything += b"".join(path.read_bytes() for path in bench.directory.glob("attachd.db*"))
    assert bench.simulator.token.encode() not in everything
    assert b"X-Amz-Signature" not in everything


@pytest.mark.slow
def test_unmatched_files_are_judged_again_at_start(bench):
    """A rule mended while attachd was stopped takes the files that no rule took before."""
    bench.put("docs/21/manual.txt", b"read me")
    assert bench.once().returncode == 4
    text = bench.rules.read_text()
    bench.rules.write_text(text.replace("parts/{part:int}/*", "docs/{part:int}/*"))
    assert bench.once().returncode == 0
    assert bench.attached() == [("manual.txt", "part", PART + 21, sha256(b"read me"))]
