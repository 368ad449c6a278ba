from datetime import UTC, datetime, timedelta

import pytest

from attachd.cli.entries import size_text
from attachd.cli.times import read_since
from attachd.status.facts import utc
from attachd.status.showing import moment_text

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_moment_with_a_zone_is_that_moment():
    """A zone that is given counts."""
    assert read_since("2026-11-21T08:30:00+02:00", NOW) == datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
    assert read_since("2026-11-21 08:30:00Z", NOW) == datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def test_a_moment_without_a_zone_is_local():
    """Without a zone the machine's own is meant."""
    assert read_since("2026-07-01", NOW) == datetime(2026, 7, 1).astimezone()


def test_a_duration_counts_back():
    """A duration is so long ago."""
    assert read_since("2h", NOW) == NOW - timedelta(hours=2)


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2026-13-01", "99999d", "tomorrow"])
def test_anything_else_is_refused(text):
    """What is neither a time nor a duration is a ValueError."""
    with pytest.raises(ValueError):
        read_since(text, NOW)


def test_times_are_utc_with_z():
    """JSON and text show UTC."""
    local = datetime.fromisoformat("2026-11-21T14:00:00.120+02:00")
    assert utc(local) == "2026-11-21T12:00:00.120Z"
    assert moment_text(local) == "2026-11-21 12:00:00Z"
    assert moment_text(None) == "-"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1400000, "1.4 MB"), (5 * 10**15, "5000.0 TB")],
)
def test_sizes_have_the_units_of_rules_yaml(size, text):
    """Sizes are shown in powers of 1000."""
    assert size_text(size) == text
