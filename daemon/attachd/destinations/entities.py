"""Remembers entity ids for a while, so that the next file to the same target asks only for its URL."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

KEPT_FOR = 600.0
"""Seconds an entity id is believed, unless told otherwise."""

AT_MOST = 4096
"""Entity ids kept; the one unused longest goes first."""

Key = tuple[str, str]
"""The kind of target and its id, as in the delivery's target."""


class EntityIds:
    """A bounded memory of found entity ids; what was not found is never kept. Used by many workers at once.

    Args:
        monotonic: seconds of a clock that never jumps.
        at_most: how many are kept.
        kept_for: seconds an entity id is believed.
    """

    def __init__(
        self, monotonic: Callable[[], float], *, at_most: int = AT_MOST, kept_for: float = KEPT_FOR
    ) -> None:
        self._monotonic = monotonic
        self._kept_for = kept_for
        self._at_most = at_most
        self._lock = Lock()
        self._known: OrderedDict[Key, tuple[str, float]] = OrderedDict()

    def get(self, key: Key) -> str | None:
        """Give the entity id of a target, or None where it is not known any more."""
        with self._lock:
            entity_id, until = self._known.get(key, ("", 0.0))
            if not entity_id or self._monotonic() >= until:
                self._known.pop(key, None)
                return None
            self._known.move_to_end(key)
            return entity_id

    def keep(self, key: Key, entity_id: str) -> None:
        """Remember the entity id of a target."""
        with self._lock:
            self._known[key] = (entity_id, self._monotonic() + self._kept_for)
            self._known.move_to_end(key)
            if len(self._known) > self._at_most:
                self._known.popitem(last=False)

    def forget(self, key: Key) -> None:
        """Drop a target's entity id: it turned out to be wrong."""
        with self._lock:
            self._known.pop(key, None)
