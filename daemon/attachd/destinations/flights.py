"""One piece of work for all who want it at the same time."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Whoever comes while a piece of work is under way waits for it and shares its end, also a bad one.

    So that sixteen workers whose token has ended ask for one new token, and wait for one time-out where
    nobody answers. Used by many threads at once.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: dict[str, Future[T]] = {}

    def share(self, key: str, work: Callable[[], T]) -> T:
        """Do the work, or wait for the one who does it under the same key.

        Raises:
            Whatever the work raised.
        """
        with self._lock:
            other = self._under_way.get(key)
            mine: Future[T] = Future()
            if other is None:
                self._under_way[key] = mine
        if other is not None:
            return other.result()
        try:
            mine.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed on by `result`, to all who wait
            mine.set_exception(error)
        finally:
            with self._lock:
                del self._under_way[key]
        return mine.result()
