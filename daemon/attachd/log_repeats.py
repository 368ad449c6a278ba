"""The same trouble many times over: its first line at once, then one line a minute that counts the rest.

Ten thousand files that fail for one reason are one problem. Trouble is the same where event, destination,
folder, kind and reason are; names and numbers of the single file do not count as a part of the reason.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from attachd.log_events import GROUPED

WINDOW_SECONDS = 60.0

MOST_GROUPS = 500
"""Different troubles that are counted at once; whatever comes beside them is written in full."""

_OF_THE_FILE = ("path", "filename", "delivery", "target")
_SHOWN = ("level", "destination", "folder", "kind", "why", "hint")
_WORD = re.compile(r"\w[\w.-]*\w|\w")
_LONG = 6  # so long, a name is no part of another word by chance
_NUMBERED = re.compile(r"\b(?=[\w-]*\d)[\w-]{8,}")  # ids of requests, storage keys

Event = Mapping[str, Any]


@dataclass(slots=True)
class _Group:
    since: float
    latest: Event
    times: int = 0


class Repeats:
    """What was written within the last minute, and how often it came again. Used by all threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._groups: dict[tuple[str, ...], _Group] = {}

    def take(self, event: Event, now: float) -> bool:
        """Take an event; False where it is counted, and not to be written.

        Args:
            event: with its level, redacted.
            now: seconds of a clock that never jumps.
        """
        if event.get("event") not in GROUPED:
            return True
        key = _key(event)
        with self._lock:
            group = self._groups.get(key)
            if group is not None:
                group.times += 1
                group.latest = event
            elif len(self._groups) < MOST_GROUPS:
                self._groups[key] = _Group(since=now, latest=event)
            return group is None

    def due(self, now: float, *, at_once: bool = False) -> list[dict[str, Any]]:
        """Give a line for each trouble whose minute is over and that came again; a quiet one is forgotten.

        Args:
            now: as for `take`.
            at_once: do not wait for the minute's end.
        """
        lines = []
        with self._lock:
            for key, group in list(self._groups.items()):
                if not at_once and now < group.since + WINDOW_SECONDS:
                    continue
                if group.times:
                    lines.append(_line(group, now))
                    self._groups[key] = _Group(since=now, latest=group.latest)
                else:
                    del self._groups[key]
        return lines


def _line(group: _Group, now: float) -> dict[str, Any]:
    latest = group.latest
    counted = {"what": latest["event"], "times": group.times, "seconds": round(now - group.since)}
    shown = {name: latest[name] for name in _SHOWN if name in latest}
    last = latest.get("path", latest.get("delivery"))
    return counted | shown | ({} if last is None else {"latest": last})


def _key(event: Event) -> tuple[str, ...]:
    why = str(event.get("why") or str(event.get("exception", "")).rpartition("\n")[2])
    names = (str(event.get(name, "")) for name in ("event", "destination", "folder", "kind"))
    return (*names, _without_names(why, event))


def _without_names(why: str, event: Event) -> str:
    texts = set(_texts(event))
    for text in sorted(texts, key=len, reverse=True):
        why = why.replace(text, "…") if len(text) >= _LONG else why
    why = _WORD.sub(lambda word: "…" if word[0] in texts else word[0], why)
    return _NUMBERED.sub("…", why)


def _texts(event: Event) -> Iterator[str]:
    for name in _OF_THE_FILE:
        value = event.get(name, "")
        for each in value.values() if isinstance(value, Mapping) else (value,):
            text = str(each)
            yield from filter(None, (text, text.rpartition("/")[2]))
