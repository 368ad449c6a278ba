import socket
from urllib.parse import urlsplit


def send_raw(simulator, text, body=b""):
    """Send bytes as they are, end the sending side, and give everything that comes back."""
    split = urlsplit(simulator.url)
    with socket.create_connection((split.hostname, split.port), timeout=10) as connection:
        connection.sendall(text.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))
