import hashlib
import json
import sqlite3
from contextlib import closing

FOUR = {
    "st/7/a.png": b"one",
    "st/7/b.png": b"one",
    "parts/5/report.txt": b"two",
    "notes.txt": b"no rule takes this",
}


def dry(bench, *words):
    done = bench.once("--dry-run", "--json", *words)
    return done.returncode, {row["path"]: row for row in json.loads(done.stdout)}


def dump(bench):
    with closing(sqlite3.connect(bench.directory / "attachd.db")) as connection:
        return list(connection.iterdump())


def test_shows_what_would_be_sent_and_sends_nothing(bench):
    """Targets, names, duplicates and unmatched files are those of the real run that follows."""
    for path, content in FOUR.items():
        bench.put(path, content)
    code, rows = dry(bench)
    assert code == 4  # the unmatched file, as in a real run
    would = {path: row["would"] for path, row in rows.items()}
    assert would["parts/5/report.txt"] == "send"
    assert would["notes.txt"] == "unmatched"
    assert sorted([would["st/7/a.png"], would["st/7/b.png"]]) == ["duplicate", "send"]
    assert rows["st/7/a.png"]["target"] == {"run_step": "7"}
    assert rows["st/7/a.png"]["filename"] == "st-a.png"
    assert rows["st/7/a.png"]["sha256"] == hashlib.sha256(b"one").hexdigest()
    assert rows["st/7/a.png"]["id"] is None
    assert not (bench.directory / "attachd.db").exists()
    assert bench.simulator.call_counts.total() == 0

    assert bench.once().returncode == 4
    states = {"send": "done"}
    real = bench.states()
    assert sorted(real.values()) == sorted(states.get(word, word) for word in would.values())


def test_needs_no_token_and_says_it_in_lines(bench):
    """One line a file on standard output, the sum on standard error; the token may be missing."""
    bench.rules.write_text(bench.rules.read_text().replace(bench.simulator.token, "{env: NOT_SET_ANYWHERE}"))
    bench.put("st/7/a.png")
    done = bench.once("--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "send       st/7/a.png: to ion: run_step 7, as st-a.png (rule photos)\n"
    assert done.stderr.endswith("would: 1 send; nothing was sent\n")


def test_changes_nothing_that_a_real_run_would_see(bench):
    """The ledger is byte for byte what it was, whatever new, changed and waiting files there are."""
    bench.put("st/7/a.png")
    bench.simulator.fault(call="open", do={"status": 503}, times=99)
    service = bench.start()
    bench.wait_until(lambda: bench.states().get("st/7/a.png") == "waiting", "waiting")
    bench.stop(service)
    bench.put("st/7/b.png", b"new")
    before = dump(bench)
    _, rows = dry(bench)
    assert {path: row["would"] for path, row in rows.items()} == {"st/7/a.png": "send", "st/7/b.png": "send"}
    assert (rows["st/7/a.png"]["id"], rows["st/7/b.png"]["id"]) == (1, None)
    assert dump(bench) == before
    assert sorted(file.name for file in (bench.drop / "st/7").iterdir()) == ["a.png", "b.png"]


def test_works_beside_a_running_service(bench):
    """The lock of the service does not matter, and what it delivers meanwhile is its own business."""
    bench.put("st/7/a.png")
    service = bench.start()
    bench.wait_until(lambda: bench.states() == {"st/7/a.png": "done"}, "done")
    code, rows = dry(bench)
    assert (code, rows) == (0, {})
    assert bench.stop(service) == 0


def test_after_is_not_done(bench):
    """What would be deleted or moved once it is attached stays where it is."""
    text = bench.rules.read_text()
    bench.rules.write_text(text.replace('filename: "{station}-{file}"', "after: delete"))
    file = bench.put("st/7/a.png")
    assert dry(bench)[1]["st/7/a.png"]["would"] == "send"
    assert file.exists()
    assert bench.once().returncode == 0
    assert not file.exists()


def test_too_large_would_be_held(bench):
    """The limit is the real destination's."""
    bench.write_rules(extra="limits: {max_file_size: 2 B}")
    bench.put("st/7/a.png")
    code, rows = dry(bench)
    assert (code, rows["st/7/a.png"]["would"]) == (4, "held")
    assert rows["st/7/a.png"]["error"]["kind"] == "too_large"


def test_goes_with_once(bench):
    """Alone, or --json without it, is a usage error."""
    assert bench.call("run", "--dry-run").returncode == 2
    assert bench.once("--json").returncode == 2
