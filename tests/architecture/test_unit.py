import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "attachd.service"


def test_the_unit_verifies(tmp_path):
    """systemd-analyze verify has nothing to say about the unit."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is missing, and CI must have it")
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / "attachd.service"
    # The console script is wherever pip put it: verify wants the file to be there.
    copy.write_text(UNIT.read_text().replace("/usr/local/bin/attachd", shutil.which("true") or "/bin/true"))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "attachd.service" in line]
    assert complaints == []
    assert "RestartPreventExitStatus=78" in UNIT.read_text()
