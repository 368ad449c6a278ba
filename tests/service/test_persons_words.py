import json
import subprocess
import time

import pytest

STEP = 1_000_000
NOTICED = 1.0


def row_of(bench, path):
    (row,) = [row for row in bench.list() if row["path"] == path]
    return row


@pytest.fixture
def in_doubt(bench):
    """A running service with one delivery held in doubt, that was not registered, its bytes in storage."""
    bench.simulator.fault(call="register", do="reset")
    bench.put("st/9/a.png", b"doubted")
    service = bench.start()
    bench.wait_until(lambda: bench.states().get("st/9/a.png") == "held", "held")
    yield bench
    bench.stop(service)


def test_not_attached_is_noticed_and_sends_no_bytes_again(in_doubt):
    """A second process says so; the running service registers what lies in storage, within a second."""
    bench = in_doubt
    puts = len(bench.simulator.puts)
    number = str(row_of(bench, "st/9/a.png")["id"])
    done = bench.call("resolve", number, "--not-attached", "--reason", "looked in ION")
    assert done.returncode == 0, done.stderr
    begun = time.monotonic()
    bench.simulator.wait_for(lambda: len(bench.simulator.attachments) == 1, 30)
    assert time.monotonic() - begun < NOTICED
    bench.wait_until(lambda: bench.states()["st/9/a.png"] == "done", "done")
    assert len(bench.simulator.puts) == puts
    history = json.loads(bench.call("show", number, "--json").stdout)["history"]
    assert "looked in ION" in " ".join(step["detail"] for step in history)


def test_attached_is_believed(in_doubt):
    """The person's id is kept, nothing is sent, and the same bytes dropped again are a duplicate."""
    bench = in_doubt
    number = str(row_of(bench, "st/9/a.png")["id"])
    assert bench.call("resolve", number, "--attached", "777").returncode == 0
    bench.put("st/9/copy.png", b"doubted")
    bench.wait_until(lambda: bench.states().get("st/9/copy.png") == "duplicate", "duplicate")
    assert row_of(bench, "st/9/a.png")["remote_id"] == "777"
    assert bench.simulator.attachments == ()


def test_contradicting_words_at_once_leave_one(in_doubt):
    """Of two processes that settle the same doubt differently, one is told that it came too late."""
    bench = in_doubt
    number = str(row_of(bench, "st/9/a.png")["id"])
    commands = (["--attached", "777"], ["--not-attached"])
    racing = [
        subprocess.Popen(
            bench.command("resolve", number, *words), stderr=subprocess.PIPE, cwd=bench.directory
        )
        for words in commands
    ]
    codes = []
    for process in racing:
        process.communicate(timeout=30)
        codes.append(process.returncode)
    assert sorted(codes) == [0, 1]
    bench.wait_until(lambda: bench.states()["st/9/a.png"] == "done", "done")
    assert row_of(bench, "st/9/a.png")["remote_id"] == ("777" if codes[0] == 0 else "4242")
    assert len(bench.simulator.attachments) == codes[0]


def test_sent_anew_is_attached_a_second_time(bench):
    """`retry --again` beside a running service attaches the file once more, once."""
    bench.put("st/9/a.png", b"again")
    service = bench.start()
    bench.wait_until(lambda: bench.states() == {"st/9/a.png": "done"}, "done")
    assert bench.call("retry", "1", "--again").stdout == "1: goes again as delivery 2\n"
    assert bench.simulator.wait_for(lambda: len(bench.simulator.attachments) == 2, 30)
    bench.wait_until(lambda: [row["state"] for row in bench.list()] == ["done", "done"], "both done")
    bench.put("st/9/b.png", b"again")
    bench.wait_until(lambda: bench.states().get("st/9/b.png") == "duplicate", "duplicate")
    assert bench.stop(service) == 0
    assert bench.once().returncode == 0
    assert len(bench.simulator.attachments) == 2


def test_dismissed_is_no_problem_for_once(bench):
    """What a person dismissed no longer makes `run --once` end with 4; a dry run and a real one leave it."""
    bench.simulator.fault(call="open", do={"graphql_error": "Permission denied"})
    bench.put("st/9/a.png")
    assert bench.once().returncode == 4
    assert bench.call("dismiss", "1", "--reason", "not ours").returncode == 0
    assert bench.once("--dry-run").returncode == 0
    assert bench.once().returncode == 0
    assert bench.states() == {"st/9/a.png": "dismissed"}
    assert bench.call("verify").returncode == 0
    assert bench.call("retry", "1").returncode == 0
    assert bench.once().returncode == 0
    assert bench.states() == {"st/9/a.png": "done"}
