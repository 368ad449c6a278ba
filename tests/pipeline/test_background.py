"""Large files are handled by threads that give way to all others."""

import os
import sys
import threading
from contextvars import ContextVar
from types import SimpleNamespace

import pytest

from attachd.pipeline import deliver
from attachd.pipeline.background import NICE, give_way, in_background

ABOUT = ContextVar("ABOUT", default="nothing")


def priority():
    """Give the priority of this thread: setpriority(2) sees threads as processes."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def lower(before):
    """Give the lower one: 19 is the lowest there is."""
    return min(19, before + NICE)


def test_work_gives_way_and_its_caller_does_not():
    """Only the thread that is made for it has the lower priority; the next small file has the usual one."""
    before = priority()
    assert in_background(priority) == lower(before)
    assert priority() == before


def test_what_it_raises_comes_through():
    """A file that vanished meanwhile is told as if there were no second thread, to the very exception."""
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        in_background(lambda: sys.exit(3))


def test_log_lines_know_what_they_are_about():
    """What is bound for the log holds in that thread as well."""
    token = ABOUT.set("delivery 7")
    try:
        assert in_background(ABOUT.get) == "delivery 7"
    finally:
        ABOUT.reset(token)


def test_where_priorities_are_forbidden_it_goes_on(monkeypatch):
    """A unit of an older version does not allow the call: the file is sent all the same."""

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "nice", refuse)
    give_way()
    assert in_background(lambda: "sent") == "sent"


@pytest.mark.parametrize(("size", "lowered"), [(deliver.LARGE, True), (deliver.LARGE - 1, False)])
def test_a_large_file_is_attempted_in_the_background(monkeypatch, size, lowered):
    """From 16 MiB on a whole attempt, hashing and sending alike, gives way; below it nothing does."""
    seen = []
    monkeypatch.setattr(deliver.Worker, "_attempt", lambda *_, **__: seen.append(priority()))
    before = priority()
    worker = object.__new__(deliver.Worker)
    worker.attempt(SimpleNamespace(signs=SimpleNamespace(size=size)))
    assert seen == [lower(before) if lowered else before]
