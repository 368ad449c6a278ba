"""The machine's clocks and its timezone."""

import os
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCALTIME = Path("/etc/localtime")


class SystemClock:
    """The real clocks. Wall time is for records only; every wait is by the monotonic clock."""

    def now(self) -> datetime:
        """Give the wall-clock time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds of a clock that never jumps."""
        return time.monotonic()


def machine_timezone() -> tzinfo:
    """Give the machine's timezone: `$TZ`, else /etc/localtime (localtime(5)), else UTC."""
    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name:
            return ZoneInfo(name)
        with _LOCALTIME.open("rb") as zone:
            return ZoneInfo.from_file(zone)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return UTC
