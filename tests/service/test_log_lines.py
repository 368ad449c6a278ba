"""What a service says of many files: one line for one problem, and a line for each file that is attached."""

import json
import os
import subprocess
from collections import Counter

ABOUT = {"delivery", "path", "folder", "rule", "destination", "target"}


def entries(bench):
    return [json.loads(line) for line in bench.log().splitlines()]


def test_one_reason_is_one_line_and_a_count_and_each_attached_file_has_its_own(bench):
    """Thirty files whose target does not exist are a line and a count; each attached file has a line."""
    bench.rules.write_text(bench.rules.read_text() + "service: {log: {format: json}}\n")
    for number in range(30):
        bench.put(f"st/900001/{number}.png", f"refused {number}".encode())
    for number in range(12):
        bench.put(f"st/1/{number}.png", f"attached {number}".encode())
    service = bench.start()
    bench.wait_until(lambda: Counter(bench.states().values()) == {"held": 30, "done": 12}, "all decided")
    assert bench.stop(service) == 0
    said = entries(bench)
    assert Counter(entry["event"] for entry in said)["attached"] == 12
    (held,) = [entry for entry in said if entry["event"] == "delivery_held"]
    counted = [entry for entry in said if entry["event"] == "repeated" and entry["what"] == "delivery_held"]
    assert sum(entry["times"] for entry in counted) == 29
    assert {(entry["destination"], entry["why"]) for entry in counted} == {("ion", held["why"])}
    for entry in (held, *(each for each in said if each["event"] == "attached")):
        assert set(entry) >= ABOUT
        assert (entry["folder"], entry["rule"], entry["destination"]) == (str(bench.drop), "photos", "ion")


def test_lines_of_a_call_bear_the_delivery_it_is_made_for(bench):
    """Whatever is logged while a delivery is under way says which one: here, that its URL was renewed."""
    bench.rules.write_text(bench.rules.read_text() + "service: {log: {format: json}}\n")
    bench.simulator.fault(call="put", do="expired")
    bench.put("st/1/a.png", b"bytes")
    service = bench.start()
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "attached")
    assert bench.stop(service) == 0
    (renewed,) = [entry for entry in entries(bench) if entry["event"] == "upload_url_renewed"]
    assert (renewed["path"], renewed["rule"], renewed["destination"]) == ("st/1/a.png", "photos", "ion")
    assert "X-Amz" not in bench.log()


def under_the_journal(bench):
    """Run the service as systemd does, with a file in the journal's place; give exit code and lines."""
    journal = bench.directory / "journal"
    with journal.open("wb") as stderr:
        facts = os.fstat(stderr.fileno())
        environment = os.environ | {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"}
        process = subprocess.Popen(bench.command("run"), stderr=stderr, env=environment, cwd=bench.directory)
        bench.processes.append(process)
        bench.wait_until(lambda: process.poll() is not None or " run=" in journal.read_text(), "it serves")
        process.terminate()
        return process.wait(), journal.read_text().splitlines()


def test_under_the_journal_a_refused_start_is_an_error(bench):
    """`journalctl -p err` has every line that says why there is no service."""
    bench.rules.write_text("version: 1\nfolder: []\n")
    code, lines = under_the_journal(bench)
    assert code == 78
    assert lines
    assert {line[:3] for line in lines} == {"<3>"}


def test_under_the_journal_what_is_doubtful_in_the_rules_is_a_warning(bench):
    """A token in plain text is told of with the priority of a warning."""
    code, lines = under_the_journal(bench)
    assert code == 0
    assert lines[0].startswith("<4>rules_warning problem=")
    assert "in plain text" in lines[0] or "everybody on this machine" in lines[0]
    assert {line[:3] for line in lines} <= {"<4>", "<6>"}
