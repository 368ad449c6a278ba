"""Serves the page in a thread of its own. Whatever becomes of it, the service goes on without."""

import asyncio
import socket
from threading import Condition, Thread

import structlog
import uvicorn
from starlette.concurrency import run_in_threadpool

from attachd.page.app import build_app
from attachd.page.connections import BACKLOG, CONNECTIONS, Connection
from attachd.page.listening import Listen, bound
from attachd.page.source import Source

log = structlog.get_logger("attachd")

RETRY_SECONDS = 5.0
"""How long after an address could not be had it is tried again."""

GRACEFUL_SECONDS = 1
"""What a request under way is left when the page ends or moves."""


class StatusPage:
    """The page's thread. `move` and `stop` are for the main thread; the rest belongs to the page's own.

    A thread that dies is told of in the log by uvicorn or here, and the page is tried again: nothing of it
    ever ends the service.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changed = Condition()
        self._wanted: Listen | None = None
        self._server: uvicorn.Server | None = None
        self._stopping = False
        self._told = ""
        self._thread = Thread(target=self._run, name="status-page", daemon=True)

    def start(self) -> None:
        """Start the thread, which serves nothing until `move` says where."""
        self._thread.start()

    def move(self, listen: Listen | None) -> None:
        """Serve there from now on, None: nowhere; returns at once."""
        with self._changed:
            if listen == self._wanted:
                return
            self._wanted = listen
            self._told = ""
            self._interrupt()

    def stop(self, seconds: float) -> bool:
        """End the thread, waiting at most so long; say whether it ended."""
        with self._changed:
            self._stopping = True
            self._interrupt()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _interrupt(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._changed.notify()

    def _run(self) -> None:
        while (listen := self._next()) is not None:
            try:
                with bound(listen) as sockets:
                    self._serve(listen, sockets)
            except Exception as error:  # noqa: BLE001 - the page is no reason to end, see the class
                self._tell_failure(listen, error)
                self._pause(listen)

    def _next(self) -> Listen | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted is not None or self._stopping)
            return None if self._stopping else self._wanted

    def _pause(self, listen: Listen) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over(listen), RETRY_SECONDS)

    def _is_over(self, listen: Listen) -> bool:
        return self._stopping or self._wanted != listen

    def _serve(self, listen: Listen, sockets: list[socket.socket]) -> None:
        server = _warm(self._source, listen)
        with self._changed:
            if self._is_over(listen):
                return
            self._server = server
        port = sockets[0].getsockname()[1]
        log.info("page_ready", address=listen.shown(port))
        try:
            server.run(sockets=sockets)
        finally:
            with self._changed:
                self._server = None
        if not self._is_over(listen):
            raise RuntimeError("the page's server ended by itself")

    def _tell_failure(self, listen: Listen, error: Exception) -> None:
        system = error.strerror if isinstance(error, OSError) else None
        why = system or f"{type(error).__name__}: {error}"
        with self._changed:
            is_news, self._told = why != self._told, why
        if is_news:
            hint = "attachd goes on without its page and tries again every few seconds"
            log.warning("page_not_served", address=listen.shown(), why=why, hint=hint)


def _warm(source: Source, listen: Listen) -> uvicorn.Server:
    """Give a server that has imported everything: else the first request would wait for that."""
    config = uvicorn.Config(
        build_app(source, listen),
        log_config=None,  # else uvicorn would set up our logging
        log_level="error",  # its warnings are about what strangers send, a line for each request
        access_log=False,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS + 1,  # requests under way; of connections there are fewer
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    config.load()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run_in_threadpool(int))
    return uvicorn.Server(config)
