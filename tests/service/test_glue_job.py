"""A folder of pictures and reports that goes to Glue, by the whole service."""

import base64
import hashlib
import json
from io import BytesIO

import pytest
from PIL import Image

from attachd.simulator.server import Simulator

RULES = """
version: 1
destinations:
  glue:
    kind: glue
    url: {url}
    token: {token}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
    timeouts: {{connect: 2s, read: {read}}}
folders:
  - path: drop
    existing: upload
    settle: 200ms
    rescan: 1s
    rules:
      - name: reports
        match: "reports/{{topic}}/*"
        to: glue
        target: {{message: "New report {{file}} on {{topic}}"}}
      - name: photos
        match: "photos/*"
        to: glue
        target: {{message: "A photo from the line"}}
      - name: archive
        match: "archive/*"
        to: glue
        target: {{}}
"""


@pytest.fixture
def glue():
    """What the Glue is like; a test that wants another one says so."""
    return {"glue_upload": "put"}


@pytest.fixture
def simulator(glue):
    """Start a Glue."""
    with Simulator(**glue) as running:
        yield running


@pytest.fixture
def bench(bench):
    """Let the bench's folder lead to Glue."""
    write_rules(bench)
    return bench


def write_rules(bench, read="5s"):
    simulator = bench.simulator
    bench.rules.write_text(RULES.format(url=simulator.glue_url, token=simulator.glue_token, read=read))


def picture(form, size, shade=0):
    made = BytesIO()
    Image.new("RGB", size, (shade, 10, 20)).save(made, form)
    return made.getvalue()


def md5(content):
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def sent(simulator):
    """Text of each message, with the name and SHA-256 of its one file, sorted."""
    files = {file.id: file for file in simulator.files}
    found = []
    for message in simulator.messages:
        (file_id,) = message.attachments
        found.append((message.text, files[file_id].name, files[file_id].sha256))
    return sorted(found)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "glue",
    [
        {"glue_upload": "put"},
        {"glue_upload": "post"},
        {"glue_upload": "post", "glue_success": 201, "glue_metadata": True, "glue_file_field": "upload"},
    ],
    ids=["put", "post", "post otherwise"],
)
def test_pictures_and_reports_arrive(bench):
    """Bytes, type and measures are right, and each file has one message of its own."""
    pictures = {
        "line_1.JPG": (picture("JPEG", (640, 480)), "image/jpeg", (640, 480)),
        "top*view*.png": (picture("PNG", (33, 44)), "image/png", (33, 44)),
        "no picture.png": (b"not a picture", "image/png", None),
    }
    reports = {"shift_a.pdf": b"%PDF-1.7 a %%EOF", "empty.pdf": b"", "large.pdf": bytes(range(256)) * 20_000}
    for name, (content, _, _) in pictures.items():
        bench.put(f"photos/{name}", content)
    for name, content in reports.items():
        bench.put(f"reports/torque_7/{name}", content)
    done = bench.once()
    assert done.returncode == 0, done.stderr
    expected = [("A photo from the line", name, sha256(pictures[name][0])) for name in pictures]
    expected += [
        (f"New report {name.replace('_', chr(92) + '_')} on torque\\_7", name, sha256(content))
        for name, content in reports.items()
    ]
    assert sent(bench.simulator) == sorted(expected)
    files = {file.name: file for file in bench.simulator.files}
    for name, (content, kind, size) in pictures.items():
        assert (files[name].content_type, files[name].content_md5) == (kind, md5(content))
        told = files[name].metadata
        assert (told.get("width"), told.get("height")) == (size or (None, None))
    assert {files[name].content_type for name in reports} == {"application/pdf"}
    assert len(bench.simulator.puts) == len(files) == 6
    rows = {row["filename"]: row["remote_id"] for row in bench.list()}
    assert sorted(rows.values()) == sorted(message.id for message in bench.simulator.messages)


def test_the_same_bytes_under_a_second_name(bench):
    """Glue has them: nothing is uploaded; a message that names the file is sent, another is a duplicate."""
    content = b"%PDF-1.7 the same %%EOF"
    for path in ("reports/t/first.pdf", "photos/first.txt"):
        bench.put(path, content)
        assert bench.once().returncode == 0
    assert len(bench.simulator.messages) == 2
    bench.put("reports/t/second.pdf", content)
    bench.put("photos/second.txt", content)
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert len(bench.simulator.puts) == len(bench.simulator.files) == 1
    assert bench.simulator.call_counts["create"] == 1
    texts = sorted(message.text for message in bench.simulator.messages)
    assert texts == ["A photo from the line", "New report first.pdf on t", "New report second.pdf on t"]
    states = bench.states()
    assert (states["reports/t/second.pdf"], states["photos/second.txt"]) == ("done", "duplicate")
    (row,) = [row for row in bench.list() if row["path"] == "reports/t/second.pdf"]
    (file,) = bench.simulator.files
    shown = json.loads(bench.call("show", str(row["id"]), "--json").stdout)
    (last,) = [step["detail"] for step in shown["history"] if step["to"] == "done"]
    assert file.id in last
    assert file.name in last


def test_a_file_without_a_message(bench):
    """Where the rule has no message, the file is made and that is all."""
    bench.put("archive/a.bin", b"kept")
    assert bench.once().returncode == 0
    (file,) = bench.simulator.files
    (row,) = bench.list()
    assert (row["state"], row["remote_id"]) == ("done", file.id)
    assert bench.simulator.messages == ()


def kill_in(bench, driver, call, do, until):
    """Kill the service while it waits for the answer to a call."""
    write_rules(bench, read="60s")
    bench.simulator.fault(call=call, do=do)
    service = bench.start(driver)
    bench.wait_until(lambda: bench.simulator.call_counts[call] == 1 and until(), f"{call} under way")
    bench.kill(service)
    bench.simulator.clear_faults()


def seen(bench, call):
    return {
        "open": lambda: True,
        "put": lambda: len(bench.simulator.puts) == 1,
        "create": lambda: len(bench.simulator.files) == 1,
        "message": lambda: len(bench.simulator.messages) == 1,
    }[call]


@pytest.mark.parametrize("glue", [{"glue_upload": "put"}, {"glue_upload": "post"}], ids=["put", "post"])
@pytest.mark.parametrize("call", ["open", "put", "create"])
def test_kill_after_a_call_doubles_nothing(bench, driver, call):
    """A service killed after a call took effect attaches the file once: what Glue has is found there."""
    bench.put("reports/t/a.pdf", b"once only")
    kill_in(bench, driver, call, {"work_then": "hang"}, seen(bench, call))
    row = bench.settle(driver)
    assert row["state"] == "done", row
    assert sent(bench.simulator) == [("New report a.pdf on t", "a.pdf", sha256(b"once only"))]
    assert len(bench.simulator.files) == 1
    assert bench.simulator.call_counts["create"] == 1
    assert len(bench.simulator.puts) == (2 if call == "put" else 1)


@pytest.mark.parametrize("call", ["create", "message"])
def test_kill_before_a_call_loses_nothing(bench, driver, call):
    """A final call that never got to work is made again where Glue can tell, and asked about where not."""
    bench.put("reports/t/a.pdf", b"once only")
    kill_in(bench, driver, call, "hang", lambda: True)
    row = bench.settle(driver)
    if call == "create":
        assert row["state"] == "done"
        assert bench.simulator.call_counts["create"] == 2
    else:
        assert (row["state"], row["error"]["kind"]) == ("held", "unknown_outcome")
        assert bench.call("resolve", str(row["id"]), "--not-attached").returncode == 0
        row = bench.settle(driver)
        assert row["state"] == "done"
        assert bench.simulator.call_counts["create"] == 1
    assert len(bench.simulator.puts) == 1
    assert len(sent(bench.simulator)) == 1


def test_a_message_that_may_have_been_sent_is_asked_about(bench, driver):
    """Without uniqueBy nobody can tell: it is held, not sent again, and a person's word settles it."""
    bench.put("reports/t/a.pdf", b"once only")
    kill_in(bench, driver, "message", {"work_then": "hang"}, seen(bench, "message"))
    row = bench.settle(driver)
    assert (row["state"], row["error"]["kind"], row["call"]) == ("held", "unknown_outcome", "message")
    assert "a.pdf" in row["error"]["hint"]
    (message,) = bench.simulator.messages
    done = bench.call("resolve", str(row["id"]), "--attached", message.id)
    assert done.returncode == 0, done.stderr
    assert bench.once().returncode == 0
    (row,) = bench.list()
    assert (row["state"], row["remote_id"]) == ("done", message.id)
    assert bench.simulator.call_counts["message"] == 1


@pytest.mark.parametrize("glue", [{"glue_unique_by": True}], ids=["uniqueBy"])
@pytest.mark.parametrize("do", [{"work_then": "hang"}, "hang"], ids=["sent", "not sent"])
def test_with_unique_by_a_message_is_never_doubled(bench, driver, do):
    """Where messages bear a key, a lost answer is repeated under the same key, and one message stands."""
    bench.put("reports/t/a.pdf", b"once only")
    kill_in(bench, driver, "message", do, lambda: do == "hang" or len(bench.simulator.messages) == 1)
    row = bench.settle(driver)
    (message,) = bench.simulator.messages
    assert (row["state"], row["remote_id"]) == ("done", message.id)
    assert message.sent == (1 if do == "hang" else 2)
    assert len(bench.simulator.puts) == len(bench.simulator.files) == 1
