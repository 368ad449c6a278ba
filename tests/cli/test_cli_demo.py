import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "attachd", "demo"]


@pytest.fixture
def stage(tmp_path):
    """Give an environment with an empty HOME and a directory of its own for temporary files."""
    place = tmp_path / "temporary"
    place.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATTACHD")}
    return place, {**kept, "HOME": "", "TMPDIR": str(place), "ATTACHD_CONFIG": "/nowhere/rules.yaml"}


def start(stage, *words):
    place, environ = stage
    return subprocess.Popen(
        [*DEMO, *words],
        cwd=place,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_it_attaches_everything_twice_at_once(stage):
    """Two demos at the same time end well and show every file once; only --keep leaves a directory.

    The reading commands work on what was kept.
    """
    with start(stage) as one, start(stage, "--keep") as other:
        for demo in (one, other):
            out, err = demo.communicate(timeout=100)
            assert (demo.returncode, err) == (0, "")
            assert len(re.findall(r"^attached \d of 7: ", out, re.MULTILINE)) == 7
            assert re.search(r"^st-3-détail 測定.JPG +run step 42 +1000042 +\d+ +\d+$", out, re.MULTILINE)
            assert "duplicate: st-7/43/weld (copy).png" in out
            assert "unmatched: readme.txt: " in out
    kept = Path(re.search(r"^kept: (.*)$", out, re.MULTILINE)[1])
    assert list(stage[0].iterdir()) == [kept]
    assert {"attachd.db", "attachd.log", "drop", "rules.yaml"} <= {path.name for path in kept.iterdir()}
    done = subprocess.run(
        [sys.executable, "-m", "attachd", "-c", kept / "rules.yaml", "list", "--state", "done"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 8)


def test_stopped_early_it_cleans_up(stage):
    """SIGTERM ends the demo and its service, with exit code 1 and an empty directory."""
    with start(stage) as demo:
        demo.stdout.readline()
        demo.send_signal(signal.SIGTERM)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "the demo was stopped" in err
    assert list(stage[0].iterdir()) == []


def test_a_service_that_cannot_start_is_shown_with_its_log(stage):
    """Where the service ends early, the demo fails at once with what is missing and the end of the log."""
    broken = Path(tempfile.mkdtemp(dir=stage[0])) / "requests"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('broken on purpose')\n")
    place, environ = stage
    with start((place, {**environ, "PYTHONPATH": str(broken.parent)})) as demo:
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "missing: st-3-front.jpg at runStep 42" in err
    assert "the service ended with exit code 1 instead of 0" in err
    assert "broken on purpose" in err
