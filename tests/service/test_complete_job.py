"""`complete` with a whole attachd: parked, seen, and gone on with."""

import json
import os

PDF = b"%PDF-1.7\n" + b"% text\n" * 500 + b"%%EOF\n"


def with_complete(bench, text, after=""):
    """Let the rule for reports say what is whole."""
    line = "        target: {run: "
    added = f"        complete: {{{text}}}\n" + (f"        after: {after}\n" if after else "")
    bench.rules.write_text(bench.rules.read_text().replace(line, added + line))


def test_run_once_parks_what_is_cut_off_and_says_so(bench):
    """It does not wait: exit code 4 and a problem with its reason; the next run takes it once it is whole."""
    file = bench.put("run-21-a.pdf", PDF[:900])
    done = bench.once()
    assert done.returncode == 4, done.stderr
    (row,) = bench.list("--problems")
    assert (row["state"], row["error"]["kind"]) == ("parked", "not_complete")
    assert "%%EOF" in row["error"]["message"]
    assert bench.attached() == []
    file.write_bytes(PDF)
    assert bench.once().returncode == 0
    assert [name for name, *_ in bench.attached()] == ["run-21-a.pdf"]


def test_a_marker_brings_its_file_and_goes_with_it(bench):
    """Nothing is sent before it is there; `explain` and `verify` know that it is no file."""
    with_complete(bench, 'marker: "{file}.done", within: 1h', after="delete")
    file = bench.put("run-21-a.pdf", PDF)
    process = bench.start()
    bench.wait_until(lambda: bench.log().count("scan_finished"), "the first scan")
    assert bench.attached() == []
    marker = bench.put("run-21-a.pdf.done", b"")
    (explained,) = json.loads(bench.call("explain", "--json", "run-21-a.pdf.done").stdout)
    assert "marker" in explained["outcome"]
    bench.wait_until(lambda: not file.exists() and not marker.exists(), "both are deleted")
    assert len(bench.attached()) == 1
    assert bench.stop(process) == 0
    assert set(bench.states()) == {"run-21-a.pdf"}


def test_a_reload_lets_a_parked_file_go_on(bench):
    """The person who knows better says `whole: off`."""
    with_complete(bench, "within: 0s")
    bench.put("run-21-a.pdf", PDF[:900])
    process = bench.start()
    bench.wait_until(lambda: bench.states() == {"run-21-a.pdf": "parked"}, "it is parked")
    bench.rules.write_text(bench.rules.read_text().replace("within: 0s", "whole: off"))
    process.send_signal(1)
    bench.wait_until(lambda: len(bench.attached()) == 1, "it is attached")
    assert bench.stop(process) == 0


def test_what_no_rule_took_has_to_be_whole_for_a_new_one(bench):
    """It lay there, and nobody asked; by a reload it is parked, and a marker is no file any more."""
    texts = {"a.pdf": PDF[:900], "b.csv": b"1;2", "c.csv": b"3;4", "c.csv.done": b"", "d.csv.done": b""}
    for name, content in texts.items():
        bench.put(f"new/7/{name}", content)
    process = bench.start()
    bench.wait_until(lambda: len(bench.list("--state", "unmatched")) == len(texts), "all are unmatched")
    rules = """      - name: tables
        match: "new/{run:int}/*.csv"
        to: ion
        target: {run: "{run}"}
        complete: {marker: "{file}.done"}
      - name: rest
        match: "new/{run:int}/*"
        to: ion
        target: {run: "{run}"}
"""
    bench.rules.write_text(bench.rules.read_text() + rules)
    process.send_signal(1)
    wanted = {"new/7/a.pdf": "parked", "new/7/b.csv": "parked", "new/7/c.csv": "done"}
    bench.wait_until(lambda: bench.states() == wanted, wanted)
    bench.put("new/7/a.pdf", PDF)
    bench.put("new/7/b.csv.done", b"")
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "they are whole by now")
    assert [name for name, *_ in bench.attached()] == ["a.pdf", "b.csv", "c.csv"]
    assert bench.stop(process) == 0


def test_what_another_rule_takes_over_has_to_be_whole_for_it(bench):
    """Held by a typo it is judged anew: the rule that takes it now waits for its marker."""
    wrong = bench.rules.read_text().replace('{run: "{run}"}', '{run: "90000{run}"}', 1)
    bench.rules.write_text(wrong)
    bench.put("run-21-a.pdf", PDF)
    process = bench.start()
    bench.wait_until(lambda: bench.states() == {"run-21-a.pdf": "held"}, "it is held")
    rule = """    rules:
      - name: marked
        match: "run-{run:int}-*.pdf"
        to: ion
        target: {run: "{run}"}
        complete: {marker: "{file}.done"}
"""
    bench.rules.write_text(wrong.replace("    rules:\n", rule, 1))
    process.send_signal(1)
    (parked,) = bench.wait_until(lambda: bench.list("--state", "parked"), "it is parked")
    assert "marker" in parked["error"]["message"]
    bench.put("run-21-a.pdf.done", b"")
    bench.wait_until(lambda: len(bench.attached()) == 1, "it is attached")
    assert bench.stop(process) == 0
    assert sorted(row["state"] for row in bench.list()) == ["done", "superseded"]
    assert bench.attached()[0][:3] == ("run-21-a.pdf", "run", 2_000_021)


def test_what_is_ignored_by_now_needs_nobody(bench):
    """The hint of a pipe says so; what rules took nothing of is forgotten as well, by `run --once` too."""
    os.mkfifo(bench.drop / "pipe")
    bench.put("a.bak")
    bench.put("unknown.txt")
    assert bench.once().returncode == 4
    ignore = '    ignore: ["pipe", "*.bak"]\n    rules:\n'
    bench.rules.write_text(bench.rules.read_text().replace("    rules:\n", ignore))
    assert bench.once().returncode == 4
    assert bench.states() == {"unknown.txt": "unmatched"}
    bench.rules.write_text(bench.rules.read_text().replace('"pipe"', '"pipe", "unknown.*"'))
    assert bench.once().returncode == 0
    assert bench.states() == {}


def test_status_tells_how_the_folder_is_watched(bench):
    """Watches against directories and the kernel's limit, and who found what."""
    bench.put("st/42/a.jpg")
    process = bench.start()
    bench.wait_until(lambda: len(bench.attached()) == 1, "attached")

    def folder():
        return json.loads(bench.call("status", "--json").stdout)["folders"][0]

    bench.wait_until(lambda: folder()["last_scan_at"] and folder()["directories"], "the first scan")
    found = folder()
    assert (found["watches"], found["directories"]) == (3, 3)
    assert found["watch_limit"] > 3
    assert found["found_by_hint"] + found["found_by_scan"] == 1
    assert found["first_run_files"] is None
    assert "first_run" in bench.log()
    assert bench.stop(process) == 0


def test_a_report_without_a_byte_of_its_own_is_parked(bench):
    """Windows sets the full length first: an upload that died then was only reserved. Written zeros count."""
    os.truncate(bench.put("run-21-a.pdf", b""), 5000)
    bench.put("run-22-b.pdf", bytes(5000))
    assert bench.once().returncode == 4
    assert bench.states() == {"run-21-a.pdf": "parked", "run-22-b.pdf": "done"}
