import io
import json
import os

import pytest
import structlog

from attachd.logs import configure


@pytest.fixture
def pipe():
    """Give a pipe: a stream to log to, and what reads all that is in it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def read():
        blocks = []
        try:
            while block := os.read(reading, 65536):
                blocks.append(block)
        except BlockingIOError:
            return b"".join(blocks)

    with os.fdopen(writing, "w") as stream:
        yield stream, read
    os.close(reading)


def test_a_full_pipe_costs_lines_and_tells_how_many(pipe):
    """Nobody waits long for a reader; once there is one, the first line is how many are missing."""
    stream, read = pipe
    configure("info", "json", stream)
    log = structlog.get_logger("attachd")
    for number in range(40):
        log.info("line", number=number, text="x" * 5000)  # more than fits at once: it goes in pieces
    written = read().count(b"\n")
    log.info("again", delivery=7)
    dropped, again = map(json.loads, read().decode().splitlines()[-2:])
    assert (dropped["event"], dropped["level"], again["event"]) == ("log_lines_dropped", "error", "again")
    assert 40 - written - dropped["lines"] in {0, 1}  # of the last one written a part may be missing
    assert "delivery" not in dropped


def test_a_stream_without_a_descriptor_is_written_as_ever():
    """A buffer takes everything."""
    stream = io.StringIO()
    configure("info", "json", stream)
    structlog.get_logger("attachd").info("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"
