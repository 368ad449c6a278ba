"""The listening socket and the threads of its connections, all of which end when it is told to stop."""

import contextlib
import socket
import socketserver
import struct
import sys
import threading
from http.server import ThreadingHTTPServer
from typing import Any

_LINGER = struct.Struct("ii")


class Listener(ThreadingHTTPServer):
    """Accepts connections on 127.0.0.1, one thread for each, and can cut them all.

    Set `RequestHandlerClass` to what shall serve a connection before the first one is accepted.

    Args:
        port: 0 for any free one.
    """

    request_queue_size = 128

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._ended = threading.Event()
        super().__init__(("127.0.0.1", port), socketserver.BaseRequestHandler)

    def server_bind(self) -> None:
        """Bind without asking the name service what the address is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def accept_all(self) -> None:
        """Accept connections until `end` is called from another thread."""
        while not self._ended.is_set():
            self.handle_request()

    def end(self) -> None:
        """Accept no more; shutting a listening socket down wakes who waits for it (Linux)."""
        self._ended.set()
        self.socket.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread that `cut` knows."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="simulator-connection",
            daemon=True,
        )
        with self._lock:
            self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._connections[threading.current_thread()]

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one that shall be reset gets no orderly end first."""
        linger, _ = _LINGER.unpack(request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size))
        if linger:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away, and everything of other errors."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def cut(self) -> None:
        """End every connection and wait for its thread; call it once nothing is accepted any more."""
        with self._lock:
            connections = list(self._connections.items())
        for thread, connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()
