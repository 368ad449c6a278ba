import json
import os

import pytest


def verified(bench, *words):
    done = bench.call("verify", "--json", *words)
    assert done.stderr == "" or done.returncode, done.stderr
    return done.returncode, {row["path"]: row for row in json.loads(done.stdout)}


@pytest.fixture
def delivered(bench):
    """Two files with the same bytes for one target, and one for another, attached."""
    bench.put("st/7/a.png", b"same bytes")
    bench.put("st/7/b.png", b"same bytes")
    bench.put("parts/5/report.txt", b"")
    assert bench.once().returncode == 0
    return bench


def test_present_is_safe_to_delete(delivered):
    """What the destination has under its id, name and entity may be deleted, duplicates included."""
    code, rows = verified(delivered)
    assert code == 0
    assert {row["level"] for row in rows.values()} == {"present"}
    assert all(row["safe_to_delete"] and row["disk"] == "same" for row in rows.values())
    assert len(rows) == 3
    states = {rows[path]["deliveries"][0]["state"] for path in ("st/7/a.png", "st/7/b.png")}
    assert states == {"done", "duplicate"}


def test_content_fetches_and_hashes(delivered):
    """With --content the bytes at the destination are compared; PATH may be a directory or a file."""
    code, rows = verified(delivered, "--content", str(delivered.drop / "st"))
    assert code == 0
    assert {path: row["level"] for path, row in rows.items()} == {
        "st/7/a.png": "content",
        "st/7/b.png": "content",
    }
    code, rows = verified(delivered, "--content", "parts/5/report.txt")
    assert (code, rows["parts/5/report.txt"]["level"]) == (0, "content")


def test_other_bytes_on_disk_are_not_safe(delivered):
    """A file that was touched is still the delivered one, one with other bytes is not, though present."""
    os.utime(delivered.drop / "st/7/a.png", (1, 1))
    (delivered.drop / "st/7/b.png").write_bytes(b"SAME BYTES")
    (delivered.drop / "parts/5/report.txt").unlink()
    code, rows = verified(delivered)
    assert code == 75  # the new bytes have still to be seen
    found = {path: (row["disk"], row["level"], row["safe_to_delete"]) for path, row in rows.items()}
    assert found == {
        "st/7/a.png": ("same", "present", True),
        "st/7/b.png": ("changed", "present", False),
        "parts/5/report.txt": ("gone", "present", False),
    }


def test_what_the_destination_lost_is_said(delivered):
    """An attachment that is not there any more is recorded, not present: exit code 4, never safe."""
    number = delivered.simulator.attachments[0].id
    delivered.simulator.reset()
    done = delivered.call("verify")
    assert done.returncode == 4
    assert f"has no attachment {number}" in done.stdout
    assert "safe to delete" not in done.stdout


def test_other_bytes_at_the_destination_are_found(delivered):
    """Only --content finds that what is stored is not what was sent."""
    for stored in delivered.simulator.puts:
        stored.path.write_bytes(b"rotten")
    assert verified(delivered)[0] == 0
    code, rows = verified(delivered, "--content")
    assert code == 4
    assert {row["level"] for row in rows.values()} == {"present"}
    assert "other ones" in rows["st/7/a.png"]["why"]


def test_refused_token_is_75(delivered):
    """Whom the destination does not let in can prove nothing; the token is in no output."""
    delivered.simulator.fault(call="query", do={"status": 401}, times=9)
    done = delivered.call("verify")
    assert done.returncode == 75
    assert delivered.simulator.token not in done.stdout + done.stderr


def test_unreachable_server_is_75(delivered):
    """Nothing is proved while the server is away; it is asked once, not once a file."""
    delivered.simulator.stop()
    code, rows = verified(delivered)
    assert code == 75
    assert {row["level"] for row in rows.values()} == {"recorded"}
    assert not any(row["safe_to_delete"] for row in rows.values())


def test_problems_are_exit_code_4(delivered):
    """Unmatched files and held deliveries are listed with their reason."""
    delivered.put("notes.txt", b"no rule takes this")
    assert delivered.once().returncode == 4
    code, rows = verified(delivered)
    assert code == 4
    assert rows["notes.txt"]["level"] is None
    assert rows["notes.txt"]["why"].startswith("unmatched")


def test_files_that_nobody_has_seen_are_told(delivered):
    """What lies on disk and is not in the ledger is never passed over; noise is."""
    delivered.put("st/7/new.png", b"not seen yet")
    delivered.put("st/7/.hidden", b"noise")
    for words in ((), (str(delivered.drop / "st"),), ("st/7/new.png",)):
        code, rows = verified(delivered, *words)
        assert code == 75
        assert "not seen" in rows["st/7/new.png"]["why"]
        assert not any("hidden" in path for path in rows)


def test_folder_that_is_out_is_75(delivered):
    """Nobody can tell what is on disk: nothing is safe."""
    delivered.drop.rename(delivered.directory / "elsewhere")
    code, rows = verified(delivered)
    assert code == 75
    assert not any(row["safe_to_delete"] for row in rows.values())


def test_unknown_path_fails(delivered):
    """A path that is neither in the ledger nor on disk is exit code 1, with what to do."""
    done = delivered.call("verify", "st/7/never.png")
    assert done.returncode == 1
    assert "attachd list" in done.stderr
