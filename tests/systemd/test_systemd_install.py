import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("systemd")]  # one machine for all, `--dist loadgroup`

MANY = """
import sqlite3, sys
ledger = sqlite3.connect("/var/lib/attachd-many/attachd.db")
ledger.executescript('''
    PRAGMA synchronous = OFF;
    BEGIN;
    INSERT INTO directories (id, folder_id, path) VALUES (1000, 1, 'gone');
    CREATE TEMP TABLE many AS
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        SELECT i, 'photo-' || i AS name, '2026-01-01T00:00:00.000Z' AS at FROM n;
    INSERT INTO files (directory_id, name, version, size, mtime_ns, ctime_ns, standing, first_seen,
        updated_at)
        SELECT 1000, name, 1, 7, i, i, 'matched', at, at FROM many;
    INSERT INTO deliveries (folder_id, directory_id, name, version, rule, destination, target, filename,
        dedupe, state, detail, changed_by, created_at, updated_at)
        SELECT 1, 1000, name, 1, 'run step photos', 'ion', '{"run_step":"42"}', name, 1, 'ready', 'settled',
        'intake', at, at FROM many;
    COMMIT;
''')
ledger.close()
"""


@pytest.fixture
def lab(service, read_commands):
    """Give a machine with a second instance, set up by docs/install.md; it is taken away at the end."""
    service.run(read_commands("Several instances"))
    yield service
    service.run(
        "systemctl disable --now attachd@lab; rm -rf /etc/attachd/lab.yaml /var/lib/attachd-lab /srv/lab"
    )


def test_a_second_instance_has_a_ledger_and_a_token_of_its_own(lab, wait_until):
    """attachd@lab runs beside attachd, and what lands in its folder is in its ledger only."""
    lab.run("mkdir -p /srv/lab/st-2/43; echo lab > /srv/lab/st-2/43/b.jpg; chgrp -R inspection /srv/lab")
    wait_until(lambda: lab.states("/etc/attachd/lab.yaml").get("st-2/43/b.jpg") == "done", "attached")
    assert "st-2/43/b.jpg" not in lab.states()
    assert lab.property("ActiveState", "attachd@lab") == "active"
    assert lab.property("ActiveState") == "active"


def test_ready_within_two_seconds_with_a_hundred_thousand_rows(service):
    """From exec to READY, as systemd saw it, with 100,000 undelivered files; the best of three."""
    service.run(
        "sed 's|^version: 1|&\\nledger: /var/lib/attachd-many/attachd.db|; s|/srv/inspection|/srv/many|'"
        " /etc/attachd/rules.yaml > /etc/attachd/many.yaml; chgrp attachd /etc/attachd/many.yaml;"
        " install -m 600 /etc/credstore/ion-token /etc/credstore/many.ion-token;"
        " systemctl start attachd@many; systemctl stop attachd@many; cat > /root/many.py",
        given=MANY,
    )
    service.run("python3 /root/many.py")
    taken = []
    while len(taken) < 3 and min(taken, default=9.0) >= 2.0:
        service.run("systemctl start attachd@many")
        names = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        began, ready = (int(service.property(name, "attachd@many")) for name in names)
        taken.append((ready - began) / 1_000_000)
        service.run("systemctl stop attachd@many")
    assert min(taken) < 2.0


def test_an_encrypted_credential_serves_as_well(service, simulator, wait_until, install_page):
    """The commands of docs/install.md encrypt the token; the unit decrypts it, and the plain one is gone."""
    block = re.search(
        r"```console\n(# mkdir -p -m 700 /etc/credstore.encrypted\n.*?)```", install_page, re.DOTALL
    )
    commands = re.sub(r"^# ", "", block[1], flags=re.MULTILINE)
    try:
        service.run(commands, given=simulator.token)
        service.run(
            "systemctl restart attachd; echo e > /srv/inspection/e.txt; test ! -e /etc/credstore/ion-token"
        )
        assert service.property("ActiveState") == "active"
        assert simulator.token not in service.run("cat /etc/credstore.encrypted/ion-token").stdout
    finally:
        service.run("rm -f /etc/systemd/system/attachd.service.d/encrypted.conf; systemctl daemon-reload")
        service.run("install -m 600 /dev/stdin /etc/credstore/ion-token", given=simulator.token)


def test_the_shell_completes_commands(machine, read_commands):
    """The completion that docs/install.md installs is registered for attachd, and knows its commands."""
    machine.run(read_commands("Shell completion"))
    source = ". /usr/local/share/bash-completion/completions/attachd"
    assert "attachd" in machine.run(f"{source}; complete -p attachd").stdout
    asked = 'COMP_WORDS="attachd sta" COMP_CWORD=1 _ATTACHD_COMPLETE=bash_complete attachd'
    assert machine.run(asked).stdout.strip() == "plain,status"


def test_the_commands_of_every_day_work(service, read_commands):
    """`attachd status` finds rules and ledger, and the journal has the service's lines."""
    shown = service.run(read_commands("Every day")).stdout
    assert "started" in shown


def test_an_upgrade_goes_on_with_the_same_ledger(service, read_commands):
    """After the commands for an upgrade attachd runs, and knows what it knew."""
    before = service.states()
    service.run(read_commands("Upgrade"))
    assert service.property("ActiveState") == "active"
    assert service.states().items() >= before.items()


def test_what_was_uninstalled_can_be_installed_again(service, simulator, read_commands):
    """Uninstalling leaves no unit and no program, but the ledger; installing again goes on with it."""
    before = service.states()
    service.run(read_commands("Uninstall"))
    assert service.run("command -v attachd", check=False).returncode != 0
    assert service.property("LoadState") in ("not-found", "bad-setting")
    for heading in ("The program", "User, directories, unit", "Start"):
        service.run(read_commands(heading))
    assert service.states().items() >= before.items()
