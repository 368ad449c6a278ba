"""Where the demo plays: a temporary directory with the example rules.yaml, the service as a child process."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from attachd.errors import UserError

STOP_LIMIT = 40.0
"""Seconds for a stop: the default of `service.drain` and some."""

_TAIL = 30
_NOT_FOR_THE_CHILD = ("ATTACHD_CONFIG", "NOTIFY_SOCKET", "JOURNAL_STREAM")


@contextmanager
def stage(*, keep: bool) -> Iterator[Path]:
    """Give a temporary directory with a copy of the example rules.yaml; removed at the end unless `keep`."""
    directory = Path(tempfile.mkdtemp(prefix="attachd-demo-"))
    try:
        (directory / "rules.yaml").write_bytes(example_rules())
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def example_rules() -> bytes:
    """Give the example rules.yaml: from the installed package, or from the project's root beside `daemon/`.

    Raises:
        UserError: this installation has none.
    """
    package = Path(str(files("attachd")))
    for place in (package / "rules.yaml", package.parents[1] / "rules.yaml"):
        if place.is_file():
            return place.read_bytes()
    raise UserError("this installation has no example rules.yaml", hint="install attachd again")


class Service:
    """The real `attachd run` as a child in its own session, logging to a file. Owner: the main thread."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._log = directory / "attachd.log"
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_CHILD}
        command = [sys.executable, "-m", "attachd", "-c", str(directory / "rules.yaml"), "run"]
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own command, no shell
                command,
                cwd=directory,
                env={**kept, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Say whether the child has not ended."""
        return self._child.poll() is None

    def stop(self) -> int:
        """Ask the child to stop with SIGTERM and give its exit code; killed where it does not obey."""
        if self.is_running:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)
            return self._child.wait()

    def tail(self) -> list[str]:
        """Give the last lines of the log."""
        return self._log.read_text(errors="replace").splitlines()[-_TAIL:]
