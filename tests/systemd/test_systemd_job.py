import hashlib
import json
import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("systemd")]  # one machine for all, `--dist loadgroup`

GIB = 1024**3
SMALL = 48 * 1024**2
RULES = "/etc/attachd/rules.yaml"

DRAW = """
from PIL import Image
for name in ("a.png", "a.jpg", "a.webp"):
    Image.linear_gradient("L").convert("RGB").resize((640, 480)).save(f"/srv/inspection/glue/{name}")
"""

TO_GLUE = f"""
install -m 600 /dev/stdin /etc/credstore/glue-token
sed -i 's|^folders:|  glue: {{kind: glue, url: "'$url'", token: {{credential: glue-token}}}}\\n&|' {RULES}
cat >> {RULES} <<'EOF'
      - {{name: pictures, match: "glue/*", to: glue, target: {{message: "Look at {{file}}"}}}}
EOF
systemctl restart attachd
"""


def drop(machine, path, content="bytes"):
    """Drop a file as another user of the group, who is not attachd."""
    script = f"umask 027; mkdir -p $(dirname /srv/inspection/{path}); cat > /srv/inspection/{path}"
    dora = "id dora >/dev/null 2>&1 || useradd -G inspection dora"
    machine.run(f"{dora}; runuser -u dora -- bash -c '{script}'", given=content)


def drop_large(machine, name, size):
    """Drop a large file: zeros between the marks of a JPEG, every byte of it written."""
    begin, end = "printf '\\xff\\xd8'", "printf '\\xff\\xd9'"
    machine.run(
        f"cd /srv/inspection; head -c {size} /dev/zero > {name};"
        f" {begin} | dd of={name} conv=notrunc status=none;"
        f" {end} | dd of={name} conv=notrunc oflag=seek_bytes seek={size - 2} status=none;"
        f" mkdir -p st-1/42; chgrp -R inspection .; mv {name} st-1/42/"
    )


def hash_of_large(size):
    """Hash what `drop_large` writes."""
    digest, block = hashlib.sha256(b"\xff\xd8"), bytes(1024**2)
    for _ in range(size // len(block) - 1):
        digest.update(block)
    digest.update(block[4:] + b"\xff\xd9")
    return digest.hexdigest()


def is_being_sent(machine, path):
    rows = json.loads(machine.run("attachd list --json", check=False).stdout or "[]")
    return any(row["path"] == path and (row["state"], row["call"]) == ("active", "put") for row in rows)


@pytest.fixture
def slow(service):
    """Give a function that limits the bandwidth and the time to drain; the rules are put back at the end."""

    def change(bandwidth, drain):
        limits = f"s|^    kind: ion|&\\n    limits: {{bandwidth: {bandwidth}}}|"
        service.run(f"sed -i '{limits}; s|^version: 1|&\\nservice: {{drain: {drain}}}|' {RULES}")
        service.run("systemctl reload attachd")

    service.run(f"cp -p {RULES} /root/rules.before")
    yield change
    service.run(f"cp -p /root/rules.before {RULES}; systemctl reload-or-restart attachd")


def test_a_file_of_another_user_of_the_group_is_attached(service, simulator, wait_until):
    """After docs/install.md, what a member of the group drops is attached, and all is said to be well."""
    drop(service, "st-9/42/a.jpg", "first")
    wait_until(lambda: service.states().get("st-9/42/a.jpg") == "done", "attached")
    assert service.property("StatusText").startswith("watching 1 folder for 1 destination")
    assert "st-9/42/a.jpg" in service.journal()
    assert service.property("NRestarts") == "0"


def test_a_broken_reload_changes_nothing_and_a_good_one_heals(service, wait_until):
    """The status line says that a reload was refused, files still get through, and a good file ends that."""
    service.run(f"cp -p {RULES} /root/rules.good; sed -i 's/to: ion/to: nowhere/' {RULES}")
    try:
        service.run("systemctl reload attachd")
        wait_until(lambda: "a reload was refused" in service.property("StatusText"), "refused")
        assert "nowhere" in service.journal()
        drop(service, "st-9/42/reload.jpg", "by the rules of before")
        wait_until(lambda: service.states().get("st-9/42/reload.jpg") == "done", "attached")
    finally:
        service.run(f"cp -p /root/rules.good {RULES}; systemctl reload attachd")
    wait_until(lambda: "refused" not in service.property("StatusText"), "in force")
    assert service.property("ActiveState") == "active"


def test_a_stop_finishes_a_transfer_under_way(service, slow, wait_until):
    """A stop waits for the upload, says so in the status line, and the file is attached when it returns."""
    slow("12 MB", "60s")
    drop_large(service, "drained.jpg", SMALL)
    wait_until(lambda: is_being_sent(service, "st-1/42/drained.jpg"), "the transfer began")
    service.run("systemctl stop attachd")
    assert service.property("Result") == "success"
    assert service.states()["st-1/42/drained.jpg"] == "done"
    assert "finishing 1 transfer" in service.property("StatusText")


def test_a_large_transfer_that_a_stop_cut_off_is_sent_anew(service, slow, simulator, wait_until):
    """1 GiB, cut in the middle: the next start takes a fresh URL, sends all of it, attaches it once."""
    slow("50 MB", "500ms")
    opened = simulator.call_counts["open"]
    drop_large(service, "cut.jpg", GIB)
    wait_until(lambda: is_being_sent(service, "st-1/42/cut.jpg"), "the transfer began")
    service.run("systemctl stop attachd")
    assert service.property("Result") == "success"
    assert service.states()["st-1/42/cut.jpg"] == "ready"
    service.run(f"cp -p /root/rules.before {RULES}; systemctl start attachd")
    wait_until(lambda: service.states()["st-1/42/cut.jpg"] == "done", "attached")
    assert simulator.call_counts["open"] == opened + 2
    (attachment,) = [each for each in simulator.attachments if each.filename == "cut.jpg"]
    assert attachment.sha256 == hash_of_large(GIB)


@pytest.fixture
def page(service, wait_until):
    """Give the address of a page; the rules are put back at the end."""
    service.run(f"cp -p {RULES} /root/rules.before")
    service.run(f"sed -i 's|^version: 1|&\\nservice: {{status: \"127.0.0.1:0\"}}|' {RULES}")
    service.run("systemctl reload attachd")
    found = wait_until_found(service, wait_until, r"page_ready address='([\d.:]+)'")
    yield found
    service.run(f"cp -p /root/rules.before {RULES}; systemctl reload attachd")


def wait_until_found(service, wait_until, pattern):
    wait_until(lambda: re.search(pattern, service.journal()), pattern)
    return re.findall(pattern, service.journal())[-1]


def test_the_machine_and_the_process_are_seen_under_the_unit(service, page):
    """The hardening hides neither the numbers of the process nor the limit of watches."""
    ask = f"import urllib.request; print(urllib.request.urlopen('http://{page}/metrics').read().decode())"
    text = service.run(f'python3 -c "{ask}"').stdout
    for name in ("process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"):
        assert f"\n{name} " in text
    (folder,) = json.loads(service.run("attachd status --json").stdout)["folders"]
    assert folder["watch_limit"] > 0


@pytest.fixture
def to_glue(service, simulator):
    """Give a machine whose pictures in glue/ go to Glue; the rules are put back at the end."""
    service.run(f"cp -p {RULES} /root/rules.before")
    service.run(f"url={simulator.glue_url}\n{TO_GLUE}", given=simulator.glue_token)
    yield service
    service.run(f"cp -p /root/rules.before {RULES}; rm /etc/credstore/glue-token; systemctl restart attachd")


def test_pictures_are_measured_under_the_unit(to_glue, simulator, wait_until):
    """The hardening lets attachd start the process that reads pictures, and that one confine itself."""
    to_glue.run("install -d -g inspection -m 2770 /srv/inspection/glue; cat > /root/draw.py", given=DRAW)
    to_glue.run("umask 027; /opt/attachd/bin/python /root/draw.py")
    wait_until(lambda: len(simulator.files) == 3, "in Glue")
    for file in simulator.files:
        measured = file.metadata
        assert (measured["width"], measured["height"], len(measured["blurHash"])) == (640, 480, 28)
