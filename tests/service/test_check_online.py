import re
import socket

import pytest

from attachd.simulator.server import Simulator

LOOKUP = """
lookups:
  unit_of_serial:
    - query: "query Unit($s: String!) { units(serial: $s) { id entity { id } } }"
      variables: {s: "{serial}"}
      rows: units
      give: {entity: entity.id}
"""


def test_all_well(bench):
    """Token, schema and folders are told one by one; nothing is attached, nothing made."""
    done = bench.call("check", "--online")
    assert done.returncode == 0, done.stderr
    assert "token accepted (Service account at simulator.example)" in done.stdout
    assert "its schema has all that attachd sends" in done.stdout
    assert "drop: can be read" in done.stdout
    assert set(bench.simulator.call_counts) & {"open", "put", "register"} == set()
    assert not (bench.directory / "attachd.db").exists()
    assert bench.simulator.token not in done.stdout + done.stderr.replace(str(bench.rules), "")


def test_refused_token_is_1(bench):
    """A token that is not let in is said with what to do, and never printed."""
    bench.rules.write_text(bench.rules.read_text().replace(bench.simulator.token, "another-token-altogether"))
    done = bench.call("check", "--online")
    assert done.returncode == 1
    assert "check the token" in done.stderr
    assert "another-token-altogether" not in done.stdout + done.stderr


def test_unreachable_is_75(bench):
    """A server that is away is no fault of rules.yaml."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    bench.write_rules(url=f"http://127.0.0.1:{port}/graphql")
    done = bench.call("check", "--online")
    assert done.returncode == 75
    assert f"127.0.0.1:{port}" in done.stderr


def test_everything_wrong_is_said_at_once(bench):
    """A missing folder and a lookup that does not fit the schema are told together."""
    text = bench.rules.read_text()
    text = text.replace('target: {part: "{part}"}', "target: {lookup: unit_of_serial}")
    text = text.replace('match: "parts/{part:int}/*"', 'match: "parts/{serial:int}/*"')
    bench.rules.write_text(text + LOOKUP)
    bench.drop.rmdir()
    done = bench.call("check", "--online")
    assert done.returncode == 1
    assert "no such file or directory (ENOENT); create it" in done.stderr
    assert "lookups.unit_of_serial[0]: Query" in done.stderr
    assert "correct the query in rules.yaml" in done.stderr


def test_a_schema_that_is_not_described_is_not_wrong(bench):
    """Where introspection is refused, that is said, and the token counts."""
    bench.simulator.fault(call="query", do={"delay": 0.0})
    bench.simulator.fault(call="query", do={"graphql_error": "introspection is not allowed"}, times=9)
    done = bench.call("check", "--online")
    assert done.returncode == 0, done.stderr
    assert "token accepted" in done.stdout
    assert "schema: could not be checked" in done.stderr


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("{message: Hello}", 0, "its schema has all that attachd sends"),
        ("{message: Hello, thread: thr_1}", 1, "`thread` and `recipients` have no use"),
    ],
)
def test_messages_are_held_against_the_schema_of_glue(bench, target, code, says):
    """A place that this Glue's messages do not have is found before the first file."""
    text = bench.rules.read_text().replace("kind: ion", "kind: glue")
    text = re.sub(r"target: \{.*\}", f"target: {target}", text)
    text = text.replace(bench.simulator.graphql_url, bench.simulator.glue_url)
    bench.rules.write_text(text.replace(bench.simulator.token, bench.simulator.glue_token))
    done = bench.call("check", "--online")
    assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done.stderr
    assert set(bench.simulator.call_counts) & {"open", "create", "message"} == set()


def test_offline_needs_no_server(bench):
    """Without --online nobody is asked."""
    bench.simulator.stop()
    assert bench.call("check").returncode == 0


def test_another_tenant_than_the_ledgers_is_refused(bench):
    """A name that belongs to one organization and leads to another is found before `run` sends nothing."""
    bench.put("st/1/a.png")
    assert bench.once().returncode == 0
    with Simulator(organization="other.example", organization_id=2) as elsewhere:
        bench.write_rules(url=elsewhere.graphql_url)
        done = bench.call("check", "--online")
    assert done.returncode == 1
    assert "organization 1 at 127.0.0.1" in done.stderr
    assert "a destination name of its own" in done.stderr
