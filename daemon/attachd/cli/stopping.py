"""SIGTERM and SIGINT as one event, for the commands that wait in the foreground."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

_NO_SIGNAL = 0


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Give an event that SIGTERM or SIGINT sets while the context lasts; for the main thread only.

    The handler may interrupt `Event.wait` while that holds the event's lock, so it must not set the event
    itself: it puts into a SimpleQueue, whose `put` is reentrant (Python's `queue`), and a thread sets it.
    """
    stop = threading.Event()
    came: SimpleQueue[int] = SimpleQueue()

    def relay() -> None:
        if came.get() != _NO_SIGNAL:
            stop.set()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        came.put(number)

    thread = threading.Thread(target=relay, name="stopping", daemon=True)
    thread.start()
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        came.put(_NO_SIGNAL)
        thread.join()
