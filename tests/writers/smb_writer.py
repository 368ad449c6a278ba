r"""Writes a file to a share as Windows Explorer does: the full length first, then the bytes, with a pause.

`python smb_writer.py PORT \\127.0.0.1\in\a.pdf SOURCE all|half`; with `half` it dies after half of the bytes.
"""

import os
import sys
import time
from pathlib import Path

import smbclient

port, path, source, how = sys.argv[1:]
content = Path(source).read_bytes()
half = len(content) // 2
smbclient.register_session("127.0.0.1", username="root", password="pw", port=int(port))
file = smbclient.open_file(path, mode="wb", buffering=0, port=int(port))
file.truncate(len(content))
for at in range(0, len(content), 65536):
    if at <= half < at + 65536:
        if how == "half":
            os._exit(0)
        time.sleep(0.4)
    file.write(content[at : at + 65536])
file.close()
print("done")
