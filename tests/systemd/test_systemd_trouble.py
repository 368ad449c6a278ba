import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("systemd")]  # one machine for all, `--dist loadgroup`

STUCK = """
import ctypes, os, sys
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000  # ptrace(2), waitpid(2)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
main = int(sys.argv[1])
for thread in map(int, os.listdir(f"/proc/{main}/task")):
    if thread != main:
        assert libc.ptrace(SEIZE, thread, 0, 0) == 0, os.strerror(ctypes.get_errno())
        assert libc.ptrace(INTERRUPT, thread, 0, 0) == 0
print("stopped", flush=True)
try:
    while True:
        os.waitpid(-1, WALL)
except ChildProcessError:
    pass
"""


def just(machine, text):
    """Change the unit for one test; `service` puts it back."""
    machine.drop_in("just", text)


def put(machine, path, content):
    """Drop a file as a member of the group."""
    file = f"/srv/inspection/{path}"
    script = f"mkdir -p $(dirname {file}); cat > {file}; chgrp -R inspection /srv/inspection"
    machine.run(script, given=content)


def has_failed(machine):
    return machine.property("ActiveState") == "failed"


def test_a_process_that_was_killed_is_started_anew(service, wait_until):
    """After kill -9 systemd starts attachd again, and the next file is attached."""
    just(service, "[Service]\nRestartSec=100ms\n")
    before = service.property("MainPID")
    service.run(f"kill -KILL {before}")
    wait_until(lambda: service.property("MainPID") not in (before, "0"), "started anew")
    put(service, "st-1/42/killed.jpg", "after kill -9")
    wait_until(lambda: service.states().get("st-1/42/killed.jpg") == "done", "attached")


def test_loops_that_stand_still_are_ended_by_the_watchdog(service, wait_until):
    """While every thread but the main one hangs there is no ping: the log names them, the file gets there."""
    just(service, "[Service]\nWatchdogSec=3\nTimeoutAbortSec=5\nRestartSec=100ms\n")
    service.run("systemctl restart attachd; cat > /root/stuck.py", given=STUCK)
    before = service.property("MainPID")
    service.run(f"setsid python3 /root/stuck.py {before} >/root/stuck.txt 2>&1 </dev/null &")
    wait_until(lambda: "stopped" in service.run("cat /root/stuck.txt").stdout, "the threads hang")
    put(service, "st-1/42/hung.jpg", "while it hung")
    wait_until(lambda: service.property("MainPID") not in (before, "0"), "ended and started anew")
    wait_until(lambda: service.states().get("st-1/42/hung.jpg") == "done", "attached")
    journal = service.journal()
    assert "part='destination ion'" in journal
    assert "Watchdog timeout" in journal
    assert "most recent call first" in journal  # where each thread stood


def test_a_process_that_is_stopped_is_ended_by_the_watchdog(service, wait_until):
    """A process that does nothing at all is ended and started anew."""
    just(service, "[Service]\nWatchdogSec=2\nTimeoutAbortSec=2\nRestartSec=100ms\n")
    service.run("systemctl restart attachd")
    before = service.property("MainPID")
    service.run(f"kill -STOP {before}")
    wait_until(lambda: service.property("MainPID") not in (before, "0"), "ended and started anew")


def test_a_missing_credential_is_said_and_not_tried_again(service, wait_until):
    """Exit code 78, the credential's name in the status line and the journal, and no restart."""
    service.run("mv /etc/credstore/ion-token /root/; systemctl restart attachd || true")
    try:
        wait_until(lambda: has_failed(service), "failed")
        assert service.property("ExecMainStatus") == "78"
        assert service.property("NRestarts") == "0"
        assert "ion-token" in service.property("StatusText")
        assert "ion-token" in service.journal()
    finally:
        service.run("mv /root/ion-token /etc/credstore/")


@pytest.mark.parametrize("closed", ["chmod 600 /etc/attachd/rules.yaml", "chmod 700 /etc/attachd"])
def test_a_rules_file_that_cannot_be_read_is_said_and_not_tried_again(service, wait_until, closed):
    """Exit code 78 and its path in the status line, whether the file or its directory is closed."""
    service.run(f"{closed}; systemctl restart attachd || true")
    try:
        wait_until(lambda: has_failed(service), "failed")
        assert service.property("ExecMainStatus") == "78"
        assert service.property("NRestarts") == "0"
        assert "/etc/attachd/rules.yaml" in service.property("StatusText")
    finally:
        service.run("chmod 750 /etc/attachd; chmod 640 /etc/attachd/rules.yaml")


def test_a_ledger_that_cannot_be_written_is_tried_again_and_then_left(service, wait_until):
    """Each try says why; after as many as the unit allows it is failed, and nothing storms."""
    limits = "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=100ms\n"
    just(service, limits + "ReadOnlyPaths=/var/lib/attachd\n")
    service.run("systemctl restart attachd || true")
    wait_until(lambda: has_failed(service) and service.property("SubState") == "failed", "failed for good")
    assert service.property("ExecMainStatus") == "1"
    assert "/var/lib/attachd/attachd.db" in service.property("StatusText")
    assert service.property("NRestarts") in {"1", "2", "3"}


def test_a_folder_that_is_away_is_in_the_status_line(service, wait_until):
    """The service runs on without its folder, says so, and goes on when it is back."""
    service.run("mv /srv/inspection /srv/away")
    wait_until(lambda: "folder /srv/inspection" in service.property("StatusText"), "out")
    assert service.property("ActiveState") == "active"
    service.run("mv /srv/away /srv/inspection")
    wait_until(lambda: "folder /srv/inspection" not in service.property("StatusText"), "back")
    put(service, "st-1/42/back.jpg", "after it came back")
    wait_until(lambda: service.states().get("st-1/42/back.jpg") == "done", "attached")


def test_many_folders_that_are_away_are_no_reason_not_to_start(service):
    """A mount with a hundred folders is not there yet: what is said of them never costs the READY."""
    service.run("cp -p /etc/attachd/rules.yaml /root/rules.before")
    away = ", ".join(f"/srv/inspection/area-{number}" for number in range(100))
    try:
        service.run(f"sed -i 's|path: /srv/inspection|path: [{away}]|' /etc/attachd/rules.yaml")
        service.run("systemctl restart attachd")
        assert "folder /srv/inspection/area-0: " in service.property("StatusText")
    finally:
        service.run("cp -p /root/rules.before /etc/attachd/rules.yaml; systemctl restart attachd")


def test_the_unit_starts_after_its_mount_and_stops_with_it(service, wait_until):
    """RequiresMountsFor= in a drop-in mounts the share at the start; attachd stops with it."""
    mount = "[Mount]\nWhat=tmpfs\nWhere=/srv/share\nType=tmpfs\n"
    service.run("cat > /etc/systemd/system/srv-share.mount", given=mount)
    just(service, "[Unit]\nRequiresMountsFor=/srv/share\n")
    service.run("systemctl restart attachd")
    assert service.property("ActiveState", "srv-share.mount") == "active"
    service.run("systemctl stop srv-share.mount")
    wait_until(lambda: service.property("ActiveState") == "inactive", "stopped with its mount")


def test_an_idle_service_stops_within_a_second(service):
    """SIGTERM to the end of the process, as systemd saw it; the best of three on a busy machine."""
    taken = []
    for _ in range(3):
        service.run("systemctl start attachd; sleep 2; systemctl stop attachd")
        left, ended = (
            int(service.property(name))
            for name in ("ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")
        )
        taken.append((ended - left) / 1_000_000)
        if min(taken) < 1.0:
            break
        time.sleep(1)
    assert min(taken) < 1.0
    assert service.property("Result") == "success"
