"""SIGHUP against a running service: real processes, real files, real HTTP."""

import hashlib
import json
import os
import signal
import socket
import sqlite3
from contextlib import closing

import pytest

STEP, RUN, PART = 1_000_000, 2_000_000, 5_000_000


class Reloads:
    """A running service whose rules.yaml is edited and read again."""

    def __init__(self, bench):
        self.bench = bench
        self.service = None

    def start(self):
        self.service = self.bench.start()
        self.bench.wait_until(lambda: " started " in f" {self.bench.log()} ", "started")
        return self.service

    def edit(self, *changes):
        text = self.bench.rules.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.bench.rules.write_text(text)

    def hup(self, says="reloaded"):
        before = self.bench.log().count(says)
        self.service.send_signal(signal.SIGHUP)
        self.bench.wait_until(lambda: self.bench.log().count(says) > before, says)

    def reload(self, *changes):
        self.edit(*changes)
        before = self.bench.log().count("judged_anew")
        self.hup()
        self.bench.wait_until(lambda: self.bench.log().count("judged_anew") > before, "judged anew")

    def status(self):
        return json.loads(self.bench.call("status", "--json").stdout)

    def becomes(self, states):
        self.bench.wait_until(lambda: self.bench.states() == states, states)

    def history(self, delivery_id):
        shown = json.loads(self.bench.call("show", str(delivery_id), "--json").stdout)
        return [(step["to"], step["by"], step["detail"]) for step in shown["history"]]


@pytest.fixture
def reloads(bench):
    return Reloads(bench)


def test_a_typo_in_a_rule_is_mended_by_reload(bench, reloads):
    """Held files go to the right entity, done ones are left alone, and the history says why."""
    wrong = ('run_step: "{run_step}"', 'run_step: "90000{run_step}"')
    reloads.edit(wrong)
    bench.put("st/1/a.png", b"held by the typo")
    bench.put("parts/7/b.txt", b"done before")
    reloads.start()
    reloads.becomes({"st/1/a.png": "held", "parts/7/b.txt": "done"})
    before = {row["path"]: row for row in bench.list()}
    reloads.reload(wrong[::-1], ('part: "{part}"}', 'part: "99{part}"}'))
    reloads.becomes({"st/1/a.png": "done", "parts/7/b.txt": "done"})
    assert bench.attached() == [
        ("b.txt", "part", PART + 7, hashlib.sha256(b"done before").hexdigest()),
        ("st-a.png", "runStep", STEP + 1, hashlib.sha256(b"held by the typo").hexdigest()),
    ]
    rows = bench.list()
    assert len(rows) == 3
    assert before["parts/7/b.txt"] in rows
    old = reloads.history(before["st/1/a.png"]["id"])
    assert old[-1] == ("superseded", "reload", "other rules: by 'photos' another delivery takes over")
    new = reloads.history(
        next(row["id"] for row in rows if row["state"] == "done" and row["rule"] == "photos")
    )
    assert new[0] == ("ready", "reload", "other rules; rule photos takes it")
    assert bench.stop(reloads.service) == 0


def test_a_broken_rules_file_leaves_the_old_one_in_force(bench, reloads):
    """Every problem is in the log, `status` says since when the old file is in force, and files go on."""
    reloads.start()
    loaded = reloads.status()["rules_loaded_at"]
    good = bench.rules.read_text()
    bench.rules.write_text(good.replace("to: ion", "to: iron", 1).replace("{part:int}", "{part:inch}"))
    reloads.hup("reload_refused")
    bench.put("st/2/a.png", b"by the old rules")
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "attached by the old rules")
    assert "iron" in bench.log()
    assert "inch" in bench.log()
    bench.rules.write_text(good)
    bench.wait_until(lambda: loaded[:19] in reloads.status()["rules_detail"], "said by status")
    assert reloads.status()["rules_loaded_at"] == loaded
    assert "iron" in bench.call("status").stdout
    reloads.hup()
    bench.wait_until(lambda: reloads.status()["rules_detail"] == "", "nothing to say any more")
    assert reloads.status()["rules_loaded_at"] > loaded
    bench.stop(reloads.service)


def test_a_reload_cannot_move_the_ledger(bench, reloads):
    """Another `ledger` is refused by name; the run goes on with its own."""
    reloads.start()
    bench.rules.write_text(bench.rules.read_text() + "ledger: other.db\n")
    reloads.hup("reload_refused")
    assert "a reload cannot move it" in bench.log()
    assert not (bench.directory / "other.db").exists()
    assert bench.stop(reloads.service) == 0


def test_a_rules_file_that_is_gone_changes_nothing(bench, reloads):
    """Deleted by mistake, it is as good as broken."""
    reloads.start()
    bench.rules.rename(bench.directory / "away.yaml")
    reloads.hup("reload_refused")
    bench.put("st/2/a.png", b"by the old rules")
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "attached by the old rules")
    assert bench.stop(reloads.service) == 0


def test_a_reload_while_the_ledger_cannot_be_written_changes_nothing(bench, reloads):
    """A new folder has to be written down, and the disk may be full just then: the service goes on."""
    driver = bench.directory / "driver.py"
    driver.write_text(
        "import attachd.ledger.connection as c\nc.BUSY_SECONDS = 0.2\n"
        "from attachd.cli.main import main\nmain()\n"
    )
    reloads.service = bench.start(driver)
    bench.wait_until(lambda: "scan_finished" in bench.log() and reloads.status()["running"], "started")
    (bench.directory / "other").mkdir()
    reloads.edit(("  - path: drop\n", "  - path: [drop, other]\n"))
    with closing(sqlite3.connect(bench.directory / "attachd.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        reloads.hup("reload_refused")
        blocker.execute("ROLLBACK")
    reloads.hup("reloaded")
    bench.put("st/2/a.png", b"goes on")
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "attached")
    assert bench.stop(reloads.service) == 0


def test_what_a_worker_has_is_judged_when_it_comes_to_rest(bench, reloads):
    """Its attempt ends as it began; then the other rule takes over."""
    bench.simulator.fault(call="open", do={"delay": 4.0})  # the reload must come within it, however slowly
    bench.simulator.fault(call="put", do={"status": 503, "headers": {"Retry-After": "2"}})
    bench.put("st/5/a.png", b"under way")
    reloads.start()
    bench.wait_until(lambda: bench.simulator.call_counts["open"] == 1, "its attempt began")
    reloads.reload(('run_step: "{run_step}"', 'run_step: "6"'))
    bench.wait_until(lambda: [entity for _, _, entity, _ in bench.attached()] == [STEP + 6], "attached")
    bench.wait_until(
        lambda: sorted(row["state"] for row in bench.list()) == ["done", "superseded"], "replaced"
    )
    assert bench.stop(reloads.service) == 0


def test_a_token_is_mended_by_reload(bench, reloads):
    """The destination is set up anew with it: its gate opens, and no attempt was burnt."""
    reloads.edit((bench.simulator.token, "wrong-token"))
    bench.put("st/5/a.png", b"locked out")
    reloads.start()
    bench.wait_until(lambda: "gate_closed" in bench.log(), "the gate closed")
    reloads.reload(("wrong-token", bench.simulator.token))
    reloads.becomes({"st/5/a.png": "done"})
    assert bench.list()[0]["attempts"] == 1
    assert [each["healthy"] for each in reloads.status()["destinations"]] == [True]
    assert bench.stop(reloads.service) == 0


def test_a_file_that_no_rule_takes_any_more_is_unmatched(bench, reloads):
    """Its held delivery is superseded, the file is listed, and it goes when a rule takes it again."""
    bench.put("st/900001/a.png", b"nobody's")
    reloads.start()
    reloads.becomes({"st/900001/a.png": "held"})
    (held,) = bench.list()
    reloads.reload(("{jpg|jpeg|png}", "{jpg|jpeg}"))
    reloads.bench.wait_until(lambda: {r["state"] for r in bench.list()} == {"superseded", "unmatched"})
    assert "none takes the file any more" in reloads.history(held["id"])[-1][2]
    reloads.reload(("{jpg|jpeg}", "{jpg|jpeg|png}"), ('run_step: "{run_step}"', 'run_step: "3"'))
    bench.wait_until(lambda: {r["state"] for r in bench.list()} == {"superseded", "done"})
    assert [entity for _, _, entity, _ in bench.attached()] == [STEP + 3]
    bench.stop(reloads.service)


def test_an_unmatched_file_that_goes_after_it_had_deliveries_is_forgotten(bench, reloads):
    """What is left of it is the superseded delivery; dropped again it is a new file."""
    file = bench.put("st/900001/a.png", b"nobody's")
    reloads.start()
    reloads.becomes({"st/900001/a.png": "held"})
    reloads.reload(("{jpg|jpeg|png}", "{jpg|jpeg}"))
    bench.wait_until(lambda: "unmatched" in {r["state"] for r in bench.list()})
    file.unlink()
    bench.wait_until(lambda: {r["state"] for r in bench.list()} == {"superseded"}, "forgotten")
    bench.put("st/900001/a.png", b"nobody's again")
    bench.wait_until(lambda: {r["state"] for r in bench.list()} == {"superseded", "unmatched"}, "new")
    assert bench.stop(reloads.service) == 0


SECOND = """
  - path: second
    existing: upload
    settle: 200ms
    rescan: 1s
    rules:
      - name: second runs
        match: "{run:int}/*"
        to: ion
        target: {run: "{run}"}
"""


def test_a_folder_is_taken_out_and_put_back(bench, reloads):
    """Its undelivered files are held with kind config, its new ones wait for it, the other folder goes on."""
    second = bench.directory / "second"
    (second / "900001").mkdir(parents=True)
    (second / "5").mkdir()
    bench.simulator.fault(call="open", do={"status": 503}, times=100)
    text = bench.rules.read_text()
    bench.rules.write_text(text + SECOND)
    (second / "5" / "a.txt").write_bytes(b"waits")
    reloads.start()
    bench.wait_until(lambda: bench.states().get("5/a.txt") in {"waiting", "ready", "active"}, "under way")
    bench.rules.write_text(text)
    reloads.hup()
    bench.wait_until(lambda: bench.states().get("5/a.txt") == "held", "held")
    (row,) = bench.list()
    assert row["error"]["kind"] == "config"
    bench.simulator.clear_faults()
    (second / "5" / "later.txt").write_bytes(b"not watched now")
    bench.put("st/3/b.png", b"the other folder")
    bench.wait_until(lambda: bench.states().get("st/3/b.png") == "done", "the other folder goes on", 60)
    assert "5/later.txt" not in bench.states()
    bench.rules.write_text(text + SECOND)
    reloads.hup()
    reloads.becomes({"st/3/b.png": "done", "5/a.txt": "done", "5/later.txt": "done"})
    assert len(bench.simulator.attachments) == 3
    assert bench.stop(reloads.service) == 0


def test_a_destination_is_taken_out_and_put_back(bench, reloads):
    """What nobody else takes is held with kind config; it goes on when the destination is back."""
    text = bench.rules.read_text()
    other = text.replace(
        "folders:",
        f"  other: {{kind: ion, url: '{bench.simulator.graphql_url}', token: {bench.simulator.token}}}\n"
        "folders:",
    )
    both = other.replace("      - name: reports\n", "      - name: odd\n").replace(
        'match: "run-{run:int}*.pdf"\n        to: ion', 'match: "odd/{run:int}*"\n        to: other'
    )
    bench.rules.write_text(both)
    bench.put("odd/900004.bin", b"for the other")
    bench.put("st/900004/a.png", b"for ion")
    reloads.start()
    reloads.becomes({"odd/900004.bin": "held", "st/900004/a.png": "held"})
    one = both.replace("to: other", "to: ion").replace("odd/{run", "even/{run")
    one = "\n".join(line for line in one.splitlines() if not line.startswith("  other:")) + "\n"
    bench.rules.write_text(one)
    reloads.hup()
    assert set(bench.states().values()) == {"held"}
    bench.put("st/8/b.png", b"ion goes on")
    bench.wait_until(lambda: bench.states()["st/8/b.png"] == "done" if "st/8/b.png" in bench.states() else 0)
    names = [each["name"] for each in reloads.status()["destinations"]]
    assert names == ["ion", "other"]
    bench.rules.write_text(both.replace("{run: ", '{part: "6"} # ').replace("odd/{run:int}", "odd/*"))
    reloads.hup()
    bench.wait_until(lambda: bench.states()["odd/900004.bin"] == "done", "back")
    assert bench.stop(reloads.service) == 0


def test_a_reload_with_many_files_under_way_loses_and_doubles_nothing(bench, reloads):
    """Workers, settings of the destination and rules change while fifty files are being sent."""
    bench.simulator.fault(call="put", do={"delay": 0.1}, times=40)
    for number in range(50):
        bench.put(f"st/{number + 1}/a.png", b"file %d" % number)
    reloads.start()
    bench.wait_until(lambda: len(bench.simulator.attachments) >= 3, "some are through")
    reloads.reload(("first: 100ms", "first: 150ms"), ('"{station}-{file}"', '"{station}_{file}"'))
    reloads.hup()
    bench.wait_until(lambda: len(bench.simulator.attachments) >= 50, "all through", 60)
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "all done")
    assert [entity for _, _, entity, _ in sorted(bench.attached(), key=lambda each: each[2])] == [
        STEP + number + 1 for number in range(50)
    ]
    names = {name for name, *_ in bench.attached()}
    assert names == {"st-a.png", "st_a.png"}
    assert bench.stop(reloads.service) == 0


def test_an_unchanged_folder_goes_on_through_a_reload(bench, reloads):
    """Its watch is not started anew: what it counted and scanned stays."""
    reloads.edit(("rescan: 1s", "rescan: 1h"))
    bench.put("st/1/a.png", b"one")
    reloads.start()
    reloads.becomes({"st/1/a.png": "done"})
    bench.wait_until(lambda: reloads.status()["folders"][0]["last_scan_at"], "the first scan")
    before = reloads.status()["folders"][0]
    reloads.reload(("{jpg|jpeg|png}", "{jpg|jpeg|png|gif}"))
    bench.put("st/2/b.gif", b"two")
    reloads.becomes({"st/1/a.png": "done", "st/2/b.gif": "done"})
    bench.wait_until(lambda: reloads.status()["folders"][0]["found_by_hint"] > before["found_by_hint"])
    assert reloads.status()["folders"][0]["last_scan_at"] == before["last_scan_at"]
    assert bench.log().count("folder_started") == 1
    bench.stop(reloads.service)


def test_a_start_judges_anew_what_was_not_delivered(bench):
    """A typo mended while attachd was stopped is as good as one mended by reload."""
    text = bench.rules.read_text()
    bench.rules.write_text(text.replace('run_step: "{run_step}"', 'run_step: "90000{run_step}"'))
    bench.put("st/4/a.png", b"held")
    assert bench.once().returncode == 4
    bench.write_rules()
    assert bench.once().returncode == 0
    assert [entity for _, _, entity, _ in bench.attached()] == [STEP + 4]
    assert sorted(row["state"] for row in bench.list()) == ["done", "superseded"]


def _next_message(manager, first):
    """Give the lines of the next message that begins so; status lines and pings may come between."""
    while (lines := manager.recv(4096).decode().splitlines())[0] != first:
        pass
    return lines


def test_the_service_manager_is_told_of_a_reload(bench, reloads, tmp_path, monkeypatch):
    """RELOADING=1 with the monotonic time, then READY=1: sd_notify(3), Type=notify-reload."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        reloads.start()
        _next_message(manager, "READY=1")
        os.kill(reloads.service.pid, signal.SIGHUP)
        reloading = _next_message(manager, "RELOADING=1")
        assert reloading[1].startswith("MONOTONIC_USEC=")
        assert int(reloading[1].partition("=")[2]) > 0
        _next_message(manager, "READY=1")
        bench.stop(reloads.service)


def test_a_folder_with_other_settings_is_watched_anew(bench, reloads):
    """Its watch is replaced; what it knew and what lands meanwhile is found, once."""
    bench.put("st/1/a.png", b"before")
    reloads.start()
    reloads.becomes({"st/1/a.png": "done"})
    reloads.edit(("rescan: 1s", 'rescan: 2s\n    ignore: ["*.jpg"]'))
    bench.put("st/2/b.png", b"meanwhile")
    reloads.hup()
    bench.put("st/3/c.png", b"after")
    bench.put("st/3/c.jpg", b"ignored now")
    reloads.becomes({f"st/{name}.png": "done" for name in ("1/a", "2/b", "3/c")})
    assert len(bench.simulator.attachments) == 3
    assert bench.log().count("folder_started") == 2
    assert bench.stop(reloads.service) == 0


def test_a_rule_that_asks_for_the_hash_has_the_file_read(bench, reloads):
    """A file that no rule took was never read; it is, when a rule wants its hash."""
    bench.put("run-1.txt", b"one")
    reloads.start()
    reloads.becomes({"run-1.txt": "unmatched"})
    named = 'to: ion\n        filename: "{sha256}.txt"\n        target: {run:'
    reloads.reload(("to: ion\n        target: {run:", named), ("run-{run:int}*.pdf", "run-{run:int}*.txt"))
    reloads.becomes({"run-1.txt": "done"})
    sha256 = hashlib.sha256(b"one").hexdigest()
    assert bench.attached() == [(f"{sha256}.txt", "run", RUN + 1, sha256)]
    assert bench.stop(reloads.service) == 0
