import json
import os
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("systemd")]  # one machine for all, `--dist loadgroup`

RULES = "/etc/attachd/rules.yaml"
SIZE = 8 * 1024**2

SHARED = f"""
cat > /root/share.yaml
sed -i 's|^version: 1|&\\nservice: {{drain: 1s}}|' {RULES}
sed -i 's|^    kind: ion|&\\n    limits: {{bandwidth: 2 MB}}|' {RULES}
cat /root/share.yaml >> {RULES}
systemctl reload attachd
"""

FOLDER = """  - path: /srv/share
    existing: upload
    settle: 200ms
    rescan: 500ms
    rules: [{name: shared, match: "{run_step:int}/*", to: ion, target: {run_step: "{run_step}"}}]
"""

MOUNT = """
test -e /dev/fuse || mknod -m 666 /dev/fuse c 10 229
printf '#!/bin/sh\\nexec /usr/lib/openssh/sftp-server\\n' > /root/server
chmod +x /root/server
mkdir -p /root/behind/42 /srv/share
options=ssh_command=/root/server,allow_other,dir_cache=no,attr_timeout=0,entry_timeout=0
sshfs -o $options there:/root/behind /srv/share </dev/null >/dev/null 2>&1
"""


def hanging(machine):
    """Give the processes that look at the share, as the table of processes has them."""
    return machine.run("pgrep -f attachd.folders.share_process", check=False).stdout.split()


def is_being_sent(machine, path):
    rows = json.loads(machine.run("attachd list --json", check=False).stdout or "[]")
    return any(row["path"] == path and (row["state"], row["call"]) == ("active", "put") for row in rows)


@pytest.fixture
def shared(service, wait_until):
    """Give the machine with a watched share, behind a server that can be stopped; all is put back."""
    is_there = shutil.which("sshfs") is not None and Path("/dev/fuse").exists()
    if not is_there and os.environ.get("CI") != "true":
        pytest.skip("a share needs sshfs and /dev/fuse")
    service.run(MOUNT)
    service.run(f"cp -p {RULES} /root/rules.before")
    service.run(SHARED, given=FOLDER)
    yield service
    service.run("pkill -CONT -x sftp-server", check=False)
    service.run(f"cp -p /root/rules.before {RULES}; systemctl restart attachd; umount --lazy /srv/share")


def test_a_stop_waits_for_no_share_that_hangs(shared, wait_until):
    """In the middle of a transfer the server hangs: attachd stops and starts; once it answers all is well."""
    shared.run(f"head -c {SIZE} /dev/urandom > /root/behind/42/large.bin")
    wait_until(lambda: is_being_sent(shared, "42/large.bin"), "the transfer began")
    shared.run("pkill -STOP -x sftp-server")
    wait_until(lambda: "has not answered" in shared.property("StatusText"), "said")
    shared.run("systemctl stop attachd")
    assert (shared.property("Result"), shared.property("ExecMainStatus")) == ("success", "0")
    assert shared.states()["42/large.bin"] == "ready"
    left = hanging(shared)
    assert left  # the kernel lets go of none before the server answers
    shared.run("systemctl start attachd; pkill -CONT -x sftp-server")
    wait_until(lambda: not set(left) & set(hanging(shared)), "what hung has ended")
    wait_until(lambda: shared.states()["42/large.bin"] == "done", "attached")
    shared.run("systemctl stop attachd")
    assert hanging(shared) == []
