"""sd_notify(3): tells systemd how the service stands. Silent where nobody asked (`$NOTIFY_SOCKET` unset)."""

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger("attachd")

_LONGEST = 2048
"""Bytes of an assignment: systemd ignores a message of more than 4096 as a whole, with a `READY=1` in it."""


def notify(*assignments: str) -> None:
    """Send assignments such as `READY=1` or `STATUS=…` to the service manager.

    A manager that does not listen is no reason to stop: the failure is logged.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace of unix(7)
        address = "\0" + address[1:]
    message = b"\n".join(_fitting(each) for each in assignments)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.connect(address)
            manager.sendall(message)
    except OSError as error:
        log.warning("notify_failed", why=str(error))


def _fitting(assignment: str) -> bytes:
    line = assignment.replace("\n", " ")  # a path may have one; it ends an assignment
    encoded = line.encode(errors="backslashreplace")
    if len(encoded) <= _LONGEST:
        return encoded
    return encoded[: _LONGEST - 4].decode(errors="ignore").encode() + " …".encode()  # whole characters only


def extended(seconds: float) -> str:
    """Give the assignment that asks for so much time from now on, to start or to stop."""
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}"


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Give how often the manager wants a ping at least, None where it wants none (sd_watchdog_enabled(3))."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1_000_000 if microseconds > 0 else None
