"""A way to the simulator that can be struck: refused, cut, made to swallow requests, or to speak TLS."""

import select
import socket
import ssl
import struct
import threading
from contextlib import suppress
from pathlib import Path

BLINK = 0.02


class Hop:
    """A way to the simulator that can be refused, cut, made to swallow requests, or speak TLS.

    Each connection has a thread of its own, which alone reads, writes and closes it.
    """

    def __init__(self, to: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.to = to
        self.tls = tls
        self.swallows = False
        self._cut = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self._acceptor = self._accepting()

    def _listen(self, port: int) -> socket.socket:
        return socket.create_server(("127.0.0.1", port), backlog=64)

    def _accepting(self) -> threading.Thread:
        thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                thread = threading.Thread(target=self._serve, args=(client, self._cut), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket, cut: threading.Event) -> None:
        try:
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
            with socket.create_connection(self.to) as upstream:
                self._pump(client, upstream, cut)
        except OSError:  # a side went away, or did not trust the certificate
            return
        finally:
            client.close()

    def _pump(self, client: socket.socket, upstream: socket.socket, cut: threading.Event) -> None:
        while not cut.is_set():
            waiting = isinstance(client, ssl.SSLSocket) and client.pending()
            ready = [client] if waiting else select.select([client, upstream], [], [], BLINK)[0]
            for source in ready:
                block = source.recv(65536)
                if not block:
                    return
                if source is client and self.swallows:
                    reset(client)
                    return
                (upstream if source is client else client).sendall(block)
        reset(client)

    def cut(self) -> None:
        """Reset every connection, and wait until each is gone."""
        self._cut.set()
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._cut = threading.Event()

    def refuse(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self.cut()

    def heal(self) -> None:
        """Listen again at the same address."""
        if not self._acceptor.is_alive():
            self._listener = self._listen(self.port)
            self._acceptor = self._accepting()
        self.swallows = False


def reset(connection: socket.socket) -> None:
    """Let a connection end with a reset once it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def context(pair: Path) -> ssl.SSLContext:
    """Show the certificate of this name."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(f"{pair}.pem", f"{pair}.key")
    return made
