"""sd_notify(3): tells systemd how the service stands. Silent where nobody asked (`$NOTIFY_SOCKET` unset)."""

import os
import socket

import structlog

log = structlog.get_logger("attachd")


def notify(*assignments: str) -> None:
    """Send assignments such as `READY=1` or `STATUS=…` to the service manager.

    A manager that does not listen is no reason to stop: the failure is logged.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace of unix(7)
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.connect(address)
            manager.sendall("\n".join(assignments).encode())
    except OSError as error:
        log.warning("notify_failed", why=str(error))
