"""Threads that give way: what is large must not hold up what is small."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

LARGE = 16 * 1024 * 1024
"""Bytes from which on a file is hashed and sent by a thread that gives way."""

NICE = 10


def give_way() -> None:
    """Lower the priority of the thread that calls, for good: Linux has one for each thread, nice(2).

    Where that is forbidden it goes on as it is.
    """
    with suppress(OSError):
        os.nice(NICE)


def in_background(work: Callable[[], T]) -> T:
    """Do work in a thread that gives way, wait for it, and give what it gives; what it raises comes through.

    The thread is one of its own, because a priority once lowered can be raised by the privileged only.
    """
    answer: Future[T] = Future()
    context = copy_context()

    def do() -> None:
        give_way()
        try:
            answer.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            answer.set_exception(error)

    Thread(target=do, name="large-file", daemon=True).start()
    return answer.result()
