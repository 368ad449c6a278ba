"""A plain FTP server on loopback: `python ftp_server.py DIRECTORY` prints its port and serves to the end."""

import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

logging.basicConfig(level=logging.WARNING)
users = DummyAuthorizer()
users.add_user("scanner", "pw", sys.argv[1], perm="elradfmwMT")
handler = FTPHandler
handler.authorizer = users
server = FTPServer(("127.0.0.1", 0), handler)
print(server.address[1], flush=True)
server.serve_forever()
