"""One file that goes to ION and to Glue."""

import json

import pytest

from attachd.simulator.server import Simulator

RULES = """
version: 1
destinations:
  ion:
    kind: ion
    url: {ion.graphql_url}
    token: {ion.token}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
    timeouts: {{connect: 2s, read: 5s}}
  glue:
    kind: glue
    url: {glue.glue_url}
    token: {glue.glue_token}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
    timeouts: {{connect: 2s, read: 5s}}
folders:
  - path: drop
    existing: upload
    settle: 200ms
    rescan: 1s
    rules:
      - name: to ion
        match: "{{run_step:int}}/*"
        to: ion
        target: {{run_step: "{{run_step}}"}}
        after: {{move: "sent/{{file}}"}}
        continue: true
      - name: to glue
        match: "{{run_step:int}}/*"
        to: glue
        target: {{message: "{{file}} of step {{run_step}}"}}
"""
RUN_STEP = 1_000_000


@pytest.fixture
def glue():
    """Start a Glue of its own, so that each destination can be down alone."""
    with Simulator() as running:
        yield running


@pytest.fixture
def both(bench, glue):
    """Let the bench's folder lead to ION and to Glue."""
    bench.rules.write_text(RULES.format(ion=bench.simulator, glue=glue))
    bench.sent = bench.directory / "sent"
    return bench


def by_rule(bench, path):
    """State of each delivery of a path, by rule."""
    return {row["rule"]: row["state"] for row in bench.list() if row["path"] == path}


def test_one_file_is_attached_to_both(both, glue):
    """Each destination has it once, in its own way, and only then is it moved."""
    file = both.put("7/a.txt", b"for both")
    done = both.once()
    assert done.returncode == 0, done.stderr
    assert [each[:3] for each in both.attached()] == [("a.txt", "runStep", RUN_STEP + 7)]
    assert [message.text for message in glue.messages] == ["a.txt of step 7"]
    assert [each.name for each in glue.files] == ["a.txt"]
    assert by_rule(both, "7/a.txt") == {"to ion": "done", "to glue": "done"}
    assert not file.exists()
    assert (both.sent / "a.txt").read_bytes() == b"for both"


@pytest.mark.parametrize("down", ["ion", "glue"])
def test_one_that_is_down_delays_only_itself(both, glue, down):
    """The other one goes on; every file stays where it is until both have it, and is moved then."""
    count = 30
    out, works = (both.simulator, glue) if down == "ion" else (glue, both.simulator)
    out.stop()
    service = both.start()
    files = [both.put(f"{number + 1}/{number}.txt", str(number).encode()) for number in range(count)]
    arrived = (lambda: works.messages) if down == "ion" else (lambda: works.attachments)
    assert works.wait_for(lambda: len(arrived()) == count, 60)
    assert all(file.exists() for file in files)
    assert not both.sent.exists()
    status = json.loads(both.call("status", "--json").stdout)
    healthy = {each["name"]: each["healthy"] for each in status["destinations"]}
    assert healthy == {down: False, "glue" if down == "ion" else "ion": True}
    out.start()
    both.wait_until(lambda: not any(file.exists() for file in files), "moved", 60)
    assert both.stop(service) == 0
    assert len(both.attached()) == len(glue.messages) == len(glue.files) == count
    assert sorted(path.name for path in both.sent.iterdir()) == sorted(f"{n}.txt" for n in range(count))
    assert set(both.states().values()) == {"done"}


def test_a_refusal_of_one_keeps_the_file_in_place(both, glue):
    """Held at one destination, attached at the other: the file stays until a person has said what to do."""
    glue.fault(call="open", do={"graphql_error": "not for you"})
    file = both.put("7/a.txt", b"for both")
    assert both.once().returncode == 4
    assert by_rule(both, "7/a.txt") == {"to ion": "done", "to glue": "held"}
    assert file.exists()
    (held,) = [row for row in both.list() if row["state"] == "held"]
    assert both.call("retry", str(held["id"])).returncode == 0
    assert both.once().returncode == 0
    assert not file.exists()
    assert len(both.attached()) == len(glue.messages) == 1
