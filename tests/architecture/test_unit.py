import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "systemd"
UNITS = ("attachd.service", "attachd@.service")
WORST_EXPOSURE = "15"  # tenths


@pytest.fixture(params=UNITS)
def unit(request, tmp_path):
    """Give a copy of each unit whose program is there: pip puts it wherever it likes."""
    copy = tmp_path / request.param
    text = (FILES / request.param).read_text()
    copy.write_text(text.replace("/usr/local/bin/attachd", shutil.which("true") or "/bin/true"))
    return copy


def analyze(*arguments):
    """Run systemd-analyze."""
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is missing, and CI must have it")
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_the_unit_verifies(unit):
    """systemd-analyze verify has nothing to say about the unit."""
    done = analyze("verify", str(unit))
    complaints = [line for line in done.stderr.splitlines() if "attachd" in line]
    assert complaints == []


def test_the_unit_is_exposed_little(unit):
    """systemd-analyze security finds an exposure of at most 1.5."""
    done = analyze("security", "--offline=yes", f"--threshold={WORST_EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("name", UNITS)
def test_a_mistake_in_the_rules_is_not_tried_again(name):
    """Exit code 78 ends the tries; what may heal is tried so and so often."""
    text = (FILES / name).read_text()
    assert "RestartPreventExitStatus=78" in text
    assert "StartLimitBurst=" in text


def test_both_units_set_the_same():
    """They differ in names only: what one may do, the other may."""

    def settings(name):
        return [line for line in (FILES / name).read_text().splitlines() if line and line[0] != "#"]

    named = "\n".join(settings("attachd@.service"))
    for several, one in ((r"attachd[- ]%i", "attachd"), ("%i.yaml", "rules.yaml"), (r":%i\S+", "")):
        named = re.sub(several, one, named)
    assert named.splitlines() == settings("attachd.service")
