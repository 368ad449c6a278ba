"""What all tests share: which of them are slow, and the figures of those that try to break the promise."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SLOW = ("shares/", "storage/", "after/", "service/", "crash/", "writers/")
QUICK = ("service/test_main_job.py", "crash/test_random_killer.py")
FAULT = ("crash/", "faults/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what works with real services and many processes; the main job itself is always tested.

    What `make fault` alone runs is marked as well: every crash point and every cell of the fault matrix.
    """
    for item in items:
        name = str(item.path.relative_to(HERE))
        if name.startswith(SLOW) and not name.startswith(QUICK):
            item.add_marker(pytest.mark.slow)
        if name.startswith(FAULT) and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.fault)


FIGURES = {
    "points": "points killed",
    "faults": "faults injected",
    "files": "files sent",
    "lost": "lost",
    "doubled": "doubled",
    "doubtful": "doubtful",
}
"""What `make fault` sums up; each test adds its own through `tally`."""


@pytest.fixture
def tally() -> Callable[..., None]:
    """Add figures to the sum of this run, which is kept where $ATTACHD_FIGURES says."""

    def add(**figures: int) -> None:
        assert set(figures) <= set(FIGURES)
        path = os.environ.get("ATTACHD_FIGURES")
        if path:
            line = json.dumps({name: int(number) for name, number in figures.items()}) + "\n"
            with Path(path).open("a") as file:  # one write of a short line: processes do not mix theirs
                file.write(line)

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sum of the figures, where some were kept."""
    total = summed()
    if total:
        terminalreporter.section("What was tried, and what became of it")
        for name, words in FIGURES.items():
            terminalreporter.write_line(f"  {words:<16} {total[name]:>7}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail where something was lost or doubled, whatever its test said."""
    total = summed()
    if exitstatus == 0 and (total["lost"] or total["doubled"]):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def summed() -> Counter[str]:
    """Add up the figures that the tests of this run have kept."""
    total: Counter[str] = Counter()
    path = Path(os.environ.get("ATTACHD_FIGURES", ""))
    for line in path.read_text().splitlines() if path.is_file() else ():
        total.update(json.loads(line))
    return total
