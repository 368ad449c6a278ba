import os
import time
from functools import partial

import pytest

HUNG = "hung: the server did not answer"


def test_a_share_that_hangs_delays_nothing_and_heals(bench):
    """Frozen three times while files land on both sides: nothing is lost or doubled, nobody else waits."""
    process = bench.start_well()
    usual = bench.seconds_until_attached("local", "usual")
    for number in range(3):
        bench.share.freeze()
        bench.write("share", f"hung-{number}")
        bench.wait_until(bench.says("share", HUNG))
        assert bench.seconds_until_attached("local", f"local-{number}") < usual + 2.0
        assert bench.folder("local")["healthy"]
        bench.share.thaw()
        bench.wait_until(lambda number=number: f"hung-{number}" in bench.names())
        bench.wait_until(bench.says("share", "", healthy=True))
    bench.end_well(process)


def test_a_share_that_is_gone_leaves_no_empty_folder_behind(bench):
    """Killed three times and mounted again: its empty mount point is an outage, in which nothing vanishes."""
    process = bench.start_well()
    usual = bench.seconds_until_attached("local", "usual")
    for number in range(3):
        bench.write("share", f"seen-{number}")
        bench.share.cut()
        bench.wait_until(bench.says("share", "a plain directory"))
        bench.write("share", f"meanwhile-{number}")
        assert bench.seconds_until_attached("local", f"local-{number}") < usual + 2.0
        bench.share.mount()
        bench.wait_until(lambda number=number: f"meanwhile-{number}" in bench.names())
    bench.end_well(process)


def test_the_service_stops_and_starts_while_a_share_hangs(bench):
    """Neither waits for the server: the local folder is served at once, the share when it answers."""
    first = bench.start()
    bench.write("share", "before")
    bench.wait_until(lambda: bench.names() == ["before"])
    bench.share.freeze()
    bench.write("share", "hung")
    bench.wait_until(bench.says("share", HUNG))
    assert bench.seconds_to_stop(first) < 10.0
    second = bench.start()
    assert bench.seconds_until_attached("local", "local") < 20.0
    bench.wait_until(bench.says("share", HUNG))
    assert bench.seconds_to_stop(second) < 10.0
    bench.share.thaw()
    bench.start()
    bench.wait_until(bench.is_all_attached, bench.states)


def test_a_file_on_its_way_when_the_share_hangs_is_sent_once(bench):
    """Reading it ends with the outage, not with an error, and begins anew afterwards."""
    bench.start()
    bench.write("share", "large", os.urandom(16_000_000))
    bench.wait_until(lambda: bench.states() == {"active": 1})
    time.sleep(
        1.0
    )  # into the four seconds that its transfer takes; at any other moment it has to hold as well
    bench.share.freeze()
    bench.write("local", "local")
    bench.wait_until(lambda: "local" in bench.names(), "local")
    bench.wait_until(bench.says("share", HUNG))
    bench.share.thaw()
    bench.wait_until(bench.is_all_attached, bench.states)


@pytest.mark.parametrize("after", ["delete", "{move: 'sent/{file}'}"])
def test_after_actions_reach_a_share(bench, after):
    """What is attached is deleted, or moved from the share to a local disk, by the share's own process."""
    bench.write_rules(after=after)
    bench.start()
    bench.write("share", "a", os.urandom(3_000_000))
    bench.write("local", "b")
    place = bench.share.directory / "1"
    bench.wait_until(lambda: not any(place.iterdir()) and not any((bench.local / "1").iterdir()))
    assert bench.names() == ["a", "b"]
    assert [(bench.directory / "sent" / name).exists() for name in "ab"] == [after != "delete"] * 2


def test_a_file_is_moved_to_a_share(bench, share_beside):
    """The destination of an after-action may be the network as well; while it hangs, the file waits."""
    bench.write_rules(after=f"{{move: '{share_beside.mount_point}/sent/{{file}}'}}")
    bench.start()
    bench.write("local", "a")
    bench.wait_until((share_beside.directory / "sent" / "a").exists)
    share_beside.freeze()
    bench.write("local", "b")
    bench.wait_until(partial(bench.is_postponed, "b"))
    share_beside.thaw()
    bench.wait_until(lambda: not any((bench.local / "1").iterdir()))
    assert sorted(file.name for file in (share_beside.directory / "sent").iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("check",), 0, ": ok, 2 folders"),
        (("check", "--online"), 1, f"cannot be read: {HUNG}"),
        (("explain", "share/1/a"), 0, f"cannot be looked at: {HUNG}"),
        (("verify",), 75, "hung"),
        (("run", "--once"), 75, HUNG),
        (("run", "--once", "--dry-run"), 75, HUNG),
        (("status",), 3, ""),
    ],
)
def test_no_command_waits_for_ever(bench, command, code, words):
    """Each ends on a share that hangs, and says so."""
    bench.write("share", "a")
    assert bench.call("run", "--once").returncode == 0
    bench.share.freeze()
    done = bench.call(*command)
    assert words in done.stdout + done.stderr
    assert done.returncode == code
