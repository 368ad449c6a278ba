"""How long a folder remembers what it has reported."""

import pytest

from attachd.folders.looks import REPORTED_FOR, REPORTED_KEPT, _Reported
from attachd.model import Signs

SIGNS = Signs(size=1, mtime_ns=2, ctime_ns=3)


@pytest.fixture
def reported():
    return _Reported()


def test_a_report_is_not_repeated_until_intake_must_have_written_it(reported):
    """A scan that meets the same file within that time is silent about it, and tells of it afterwards."""
    reported.add("a.png", SIGNS, 100.0)
    assert reported.holds("a.png", SIGNS, 100.0 + REPORTED_FOR - 0.001)
    assert not reported.holds("a.png", SIGNS, 100.0 + REPORTED_FOR)


def test_what_is_too_old_to_matter_is_forgotten(reported):
    """A folder that takes one file a second for a year holds a minute of them, not 10,000."""
    for second in range(1000):
        reported.add(f"{second}.png", SIGNS, float(second))
    assert len(reported._reports) == REPORTED_FOR


def test_a_burst_is_remembered_up_to_a_limit(reported):
    """However many come at once: the oldest are forgotten, and a scan may tell of them twice."""
    for number in range(REPORTED_KEPT + 5):
        reported.add(f"{number}.png", SIGNS, 0.0)
    assert len(reported._reports) == REPORTED_KEPT
    assert not reported.holds("4.png", SIGNS, 0.0)
    assert reported.holds("5.png", SIGNS, 0.0)


def test_a_file_that_is_reported_again_is_the_newest(reported):
    """Its first report does not make its second one go early."""
    reported.add("a.png", SIGNS, 0.0)
    reported.add("b.png", SIGNS, 1.0)
    reported.add("a.png", SIGNS, REPORTED_FOR)
    reported.add("c.png", SIGNS, REPORTED_FOR + 1.0)
    assert reported.holds("a.png", SIGNS, REPORTED_FOR + 1.0)
    assert list(reported._reports) == ["a.png", "c.png"]
