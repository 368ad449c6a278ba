"""What is looked at before the ledger is opened: where it lies, and whether the clock is set."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from attachd.core.protocols import Clock
from attachd.core.settings import Settings
from attachd.errors import ConfigError, Problem, UserError
from attachd.folders.mounts import filesystem_of, is_network
from attachd.service.signals import Signals
from attachd.service.telling import Teller, opening_seconds

log = structlog.get_logger("attachd")

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is set is before this: attachd was not made yet."""

CLOCK_SECONDS = 1.0
"""How often a clock that is not set is looked at."""

_EXTENSION_SECONDS = 60.0


class ClockUnset(UserError):
    """The clock is not set, and the command cannot wait for it."""

    exit_code = 75


def refuse_network(settings: Settings) -> None:
    """Refuse a ledger on a network file system, where SQLite's locks do not hold.

    Raises:
        ConfigError: it lies on one; starting again would not mend that.
    """
    filesystem = filesystem_of(str(Path(settings.ledger).parent))
    if is_network(filesystem):
        what = f"it lies on a network file system ({filesystem}), where SQLite's locks do not hold"
        hint = f"set `ledger:` to a path on a local disk, in place of {settings.ledger}"
        raise ConfigError(settings.file, [Problem(0, 0, "ledger", what, hint)])


def is_set(now: datetime) -> bool:
    """Say whether a clock can be right."""
    return now >= FIRST_DAY


def await_clock(clock: Clock, signals: Signals, teller: Teller, *, once: bool) -> bool:
    """Wait until the clock is set; False where a stop came first.

    A machine without a battery starts in 1970. Times and `{date}` would be written wrong for good, and no
    certificate would be valid.

    Raises:
        ClockUnset: it is not, and this is `run --once`.
    """
    hint = "attachd goes on by itself once the clock is set: is a time service such as systemd-timesyncd on?"
    if not is_set(clock.now()):
        what = f"the clock says {clock.now():%Y-%m-%d}, so it is not set yet"
        if once:
            raise ClockUnset(what, hint="set the clock, then run it again")
        log.warning("clock_not_set", why=what, hint=hint)
    while not is_set(clock.now()) and not signals.stops:
        words = f"waiting: the clock says {clock.now():%Y-%m-%d}, it is not set yet"
        teller.starting(words, _EXTENSION_SECONDS)
        signals.wait(CLOCK_SECONDS)
    return not signals.stops


def tell_opening(ledger: str, teller: Teller) -> None:
    """Ask systemd for the time that a ledger of this size may need to be brought up to date."""
    size = 0
    for suffix in ("", "-wal"):
        with suppress(OSError):
            size += Path(ledger + suffix).stat().st_size
    teller.starting("opening the ledger", opening_seconds(size))
