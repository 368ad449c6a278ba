import json
import os
import signal
import subprocess

import pytest

DRIVER = """
import os, signal
from attachd.folders import moving

def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)

moving.{what} = die
"""


@pytest.fixture
def rules(bench):
    """Give each of the three rules of the bench an `after` of its own."""

    def write(*, photos="delete", parts="{move: 'sent/{path}'}", reports="keep"):
        text = bench.rules.read_text()
        for key, after in (("run_step", photos), ("part", parts), ("run", reports)):
            target = f'target: {{{key}: "{{{key}}}"}}'
            assert target in text
            text = text.replace(target, f"{target}\n        after: {after}")
        bench.rules.write_text(text)

    return write


def tree(bench):
    """Every file below the bench, its own left out."""
    return {
        str(path.relative_to(bench.directory)): path.read_bytes()
        for path in sorted(bench.directory.rglob("*"))
        if path.is_file() and not path.name.startswith(("attachd.db", "rules.yaml", "log.txt", "driver"))
    }


def after(bench, path):
    (row,) = [each for each in bench.list() if each["path"] == path]
    return json.loads(bench.call("show", str(row["id"]), "--json").stdout)["after"]


def test_each_rule_has_its_way_with_its_files(bench, rules):
    """`run --once` attaches, deletes, moves and keeps, and ends when that is done; nothing has vanished."""
    rules()
    bench.put("st/1/a.png", b"photo")
    bench.put("st/2/same.png", b"photo")
    bench.put("parts/7/b.txt", b"document")
    bench.put("run-3.pdf", b"report")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert tree(bench) == {"drop/run-3.pdf": b"report", "sent/parts/7/b.txt": b"document"}
    assert set(bench.states().values()) == {"done"}
    assert after(bench, "st/1/a.png") == {"action": "delete", "state": "done", "detail": "deleted"}
    moved = {"action": "move", "state": "done", "detail": f"moved to {bench.directory}/sent/parts/7/b.txt"}
    assert after(bench, "parts/7/b.txt") == moved
    assert after(bench, "run-3.pdf")["action"] == "keep"
    text = bench.call("show", "1").stdout
    assert "delete, done: deleted" in text or "move, done: moved to" in text or "keep: the file" in text
    again = bench.once()
    assert again.returncode == 0, again.stderr
    assert set(bench.states().values()) == {"done"}
    assert len(bench.simulator.attachments) == 4


def test_the_service_empties_its_folder(bench, rules):
    """While the service runs, files go as they are attached, and one that is dropped again goes again."""
    rules(photos="{move: 'sent/{date}/{file}'}")
    service = bench.start()
    for number in range(6):
        bench.put(f"st/{number + 1}/{number}.png", f"photo {number}".encode())
    bench.wait_until(lambda: sum(name.startswith("sent/") for name in tree(bench)) == 6, "six moved")
    bench.put("st/1/0.png", b"photo 0")
    bench.wait_until(lambda: any(name.endswith("/0 (2).png") for name in tree(bench)), "moved again")
    assert not any(name.startswith("drop/") for name in tree(bench))
    assert bench.stop(service) == 0
    assert len(bench.simulator.attachments) == 6
    assert bench.log().count("after_action_done") == 7
    assert set(bench.states().values()) == {"done"}


def test_duplicates_go_as_well(bench, rules):
    """A follower's file is deleted when its elder is attached."""
    rules()
    bench.put("st/1/a.png", b"photo")
    bench.put("st/1/b/a.png", b"photo")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert sorted(bench.states().values()) == ["done", "duplicate"]
    assert tree(bench) == {}


def test_a_file_that_is_not_attached_stays(bench, rules):
    """A held delivery keeps its file, whatever `after` says; a retry that succeeds lets it go."""
    rules()
    bench.put("st/1/a.png", b"photo")
    bench.simulator.fault(call="register", do={"graphql_error": "Something is off"})
    assert bench.once().returncode == 4
    assert tree(bench) == {"drop/st/1/a.png": b"photo"}
    assert after(bench, "st/1/a.png")["state"] == "planned"
    assert bench.call("retry", "--all").returncode == 0
    assert bench.once().returncode == 0
    assert tree(bench) == {}


def test_newer_bytes_are_attached_before_they_go(bench, rules):
    """A file that changes after it was attached and before it goes is left alone and attached as well."""
    rules()
    bench.put("st/1/a.png", b"first")
    bench.simulator.fault(call="register", do={"delay": 1.5})
    service = bench.start()
    bench.wait_until(lambda: bench.simulator.call_counts["register"] == 1, "register under way")
    bench.put("st/1/a.png", b"second, and longer")
    bench.wait_until(lambda: len(bench.simulator.attachments) == 2, "both attached")
    bench.wait_until(lambda: tree(bench) == {}, "gone")
    assert bench.stop(service) == 0
    assert {each.size for each in bench.simulator.attachments} == {5, 18}


@pytest.mark.parametrize("what", ["rename_new", "_remove"])
def test_a_killed_service_is_finished_by_the_next(bench, rules, what):
    """Kill -9 before the rename or before the removal: the next start ends what this one began."""
    rules(parts="delete")
    bench.put("parts/1/a.txt", b"photo")
    service = bench.start(bench.driver(DRIVER.format(what=what)))
    assert service.wait(30) == -signal.SIGKILL
    assert list(tree(bench).values()) == [b"photo"]
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert tree(bench) == {}
    assert after(bench, "parts/1/a.txt")["state"] == "done"
    assert len(bench.simulator.attachments) == 1


def test_a_place_that_refuses_is_work_left(bench, rules):
    """A move that cannot be done now leaves the delivery attached, the file in place, and exit code 75."""
    rules()
    (bench.directory / "sent").write_bytes(b"a file where a directory should be")
    bench.put("parts/1/a.txt", b"document")
    done = bench.once()
    assert done.returncode == 75, done.stderr
    assert bench.states() == {"parts/1/a.txt": "done"}
    assert "drop/parts/1/a.txt" in tree(bench)
    shown = after(bench, "parts/1/a.txt")
    assert shown["state"] == "planned"
    assert "ENOTDIR" in shown["detail"]
    assert "after_action_postponed" in done.stderr
    (bench.directory / "sent").unlink()
    bench.wait_until(lambda: bench.once().returncode == 0, "healed by itself")
    assert tree(bench) == {"sent/parts/1/a.txt": b"document"}


def test_a_move_that_would_be_attached_again_is_refused(bench, rules):
    """A capture that leads the move into the watched folder fails visibly, and the file stays."""
    rules(photos="{move: '{station}/again/{file}'}")
    bench.put("drop/1/a.png", b"photo")
    bench.put("st/1/a.png", b"another")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert after(bench, "drop/1/a.png")["state"] == "failed"
    assert "watched folder" in after(bench, "drop/1/a.png")["detail"]
    assert tree(bench) == {"drop/drop/1/a.png": b"photo", "st/again/a.png": b"another"}


def test_a_folder_whose_files_may_not_be_renamed_keeps_them(bench, rules):
    """Without the right to write to the folder the file stays, and `show` says so."""
    rules()
    file = bench.put("st/1/a.png", b"photo")
    if os.geteuid() == 0:
        locked = subprocess.run(["chattr", "+a", str(file.parent)], capture_output=True, check=False)
        if locked.returncode:
            pytest.skip("root, on a file system without attributes: nothing refuses it")
    else:
        file.parent.chmod(0o500)
    try:
        done = bench.once()
        assert done.returncode == 75, done.stderr
        assert "(EPERM)" in after(bench, "st/1/a.png")["detail"] or "(EACCES)" in done.stderr
        assert bench.states() == {"st/1/a.png": "done"}
        assert file.read_bytes() == b"photo"
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-a", str(file.parent)], check=True)
        else:
            file.parent.chmod(0o700)


def test_a_rule_that_keeps_by_now_is_obeyed(bench, rules):
    """`delete` that is taken out of the rules before the file is attached deletes nothing."""
    plain = bench.rules.read_text()
    rules()
    bench.put("st/1/a.png", b"photo")
    bench.simulator.fault(call="register", do={"graphql_error": "Something is off"})
    assert bench.once().returncode == 4
    bench.rules.write_text(plain)
    assert bench.call("retry", "--all").returncode == 0
    assert bench.once().returncode == 0
    assert tree(bench) == {"drop/st/1/a.png": b"photo"}
    assert after(bench, "st/1/a.png")["state"] == "skipped"
