import subprocess
from pathlib import Path

import pytest

from attachd.simulator import signing
from attachd.simulator.server import Simulator
from attachd.simulator.tokens import Client

pytestmark = pytest.mark.slow

TOKEN = "canary-token-4711-abcdef"
SECRET = "canary-client-secret-0815"
ODD = "<Error><Code>Odd</Code><Message>Bearer {secret} {secret}</Message></Error>"
DRIVER = """
from requests.adapters import HTTPAdapter
whole = HTTPAdapter.send
left = {"put": 2, "register": 1}

def body_of(request):
    return request.body if isinstance(request.body, bytes) else b""

def send(self, request, **given):
    is_register = b"CreateFileAttachment" in body_of(request)
    call = "put" if request.method == "PUT" else "register" if is_register else ""
    if left.get(call):
        left[call] -= 1
        token = request.headers.get("Authorization")
        raise RuntimeError(f"a bug near {request.url} {request.headers} {token}")
    return whole(self, request, **given)

HTTPAdapter.send = send
"""


class Canaries:
    """Everything that must stay inside: what was configured, what was lent, and what was signed."""

    def __init__(self):
        self.values = set()

    def missing_from(self, where, text):
        found = [value for value in self.values if value in text]
        assert found == [], f"{len(found)} secrets in {where}"


@pytest.fixture
def canaries(monkeypatch):
    """Remember every signature that the simulator makes."""
    known = Canaries()
    whole = signing._signature

    def remembered(*given):
        signature = whole(*given)
        known.values.add(signature)
        return signature

    monkeypatch.setattr(signing, "_signature", remembered)
    return known


@pytest.fixture
def simulator():
    """Run a simulator that knows the canaries."""
    with Simulator(token=TOKEN, client=Client(secret=SECRET)) as running:
        yield running


@pytest.fixture
def settings(bench):
    """Write a rules.yaml that takes its secret from a file, and logs at debug level."""

    def write(how):
        bench.write_rules(read="500ms")
        text = bench.rules.read_text().replace(f"    token: {TOKEN}\n", f"    {how}\n")
        bench.rules.write_text(text + "service: {log: {level: debug, format: json}}\n")
        (bench.directory / "token").write_text(TOKEN)
        (bench.directory / "client").write_text(SECRET)
        for name in ("token", "client"):
            (bench.directory / name).chmod(0o600)

    return write


def make_trouble(simulator, secret):
    """Script one of everything that brings a foreign text with the secret, a lost answer or a refusal."""
    odd = ODD.format(secret=secret)
    for call in ("open", "put", "register", "query"):
        simulator.fault(call=call, do={"status": 401, "body": odd})
        simulator.fault(call=call, do={"status": 403, "body": odd})
        simulator.fault(call=call, do={"status": 500, "body": odd})
        simulator.fault(call=call, do="reset")
        simulator.fault(call=call, do="html")
        simulator.fault(call=call, do={"redirect": 302})
    for call in ("open", "register"):
        simulator.fault(call=call, do={"graphql_error": f"no: Bearer {secret}"})
    for do in ("reset_mid_body", "expired", "no_etag"):
        simulator.fault(call="put", do=do)
    simulator.fault(call="register", do={"work_then": "reset"}, times=2)
    simulator.fault(call="register", do={"work_then": {"status": 502}})
    simulator.fault(call="register", do="hang")


def what_people_see(bench):
    """Give the output of every command that shows something."""
    outputs = {}
    commands = [["list"], ["list", "--json"], ["status"], ["status", "--json"], ["check", "--online"]]
    commands += [["verify", "--content"], ["verify", "--json"], ["run", "--once", "--dry-run"]]
    commands += [["explain", str(bench.drop / "st/1/a.png")]]
    troubled = [row["id"] for row in bench.list("--limit", "100") if row["error"]]
    commands += [["show", str(number)] for number in troubled[:2]]
    commands += [["show", str(number), "--json"] for number in troubled[-2:]]
    for command in commands:
        done = bench.call(*command)
        outputs[" ".join(command)] = done.stdout + done.stderr
    return outputs


@pytest.mark.parametrize(
    "how",
    [
        "token: {file: token}",
        "oauth: {token_url: TOKEN_URL, client_id: simulator-client, client_secret: {file: client}}",
        "token: {file: token}\n    auth_scheme: ''",
    ],
    ids=["token", "oauth", "bare token"],
)
def test_no_secret_leaves_by_any_way_whatever_goes_wrong(bench, settings, canaries, how):
    """After refusals, lost and hostile answers and bugs inside: log, ledger and all output are clean."""
    settings(how.replace("TOKEN_URL", bench.simulator.token_url))
    secret = SECRET if "oauth" in how else TOKEN
    canaries.values.add(secret)
    if "''" in how:
        bench.simulator.fault(call="any", do={"status": 401, "body": ODD.format(secret=secret)}, times=3)
    for number in range(1, 25):
        bench.put(f"st/{number}/a.png", b"file %d" % number)
    make_trouble(bench.simulator, secret)
    service = bench.start(bench.driver(DRIVER))
    bench.wait_until(lambda: "by_a_bug" in bench.log() or "''" in how, "a bug inside is logged")
    bench.wait_until(
        lambda: len(bench.simulator.puts) >= 1 or "''" in how, "something was sent through all that"
    )
    while_running = what_people_see(bench)
    ledger = {path.name: path.read_bytes() for path in bench.directory.glob("attachd.db*")}
    assert {"attachd.db", "attachd.db-wal", "attachd.db-shm"} <= set(ledger)
    bench.stop(service)
    done = bench.call("--debug", "run", "--once", "--deadline", "5s")
    outputs = while_running | {"run --once": done.stdout + done.stderr, "the log": bench.log()}
    for where, text in outputs.items():
        canaries.missing_from(where, text)
    ledger |= {f"{path.name} at the end": path.read_bytes() for path in bench.directory.glob("attachd.db*")}
    for where, data in ledger.items():
        canaries.missing_from(where, data.decode("latin-1"))
    assert len(canaries.values) > 3


def test_a_command_that_fails_unexpectedly_shows_no_secret(bench, settings, canaries):
    """`--debug` prints the traceback of a fault of ours, and what stands in it is blotted out."""
    settings("token: {file: token}")
    canaries.values.add(TOKEN)
    driver = bench.driver(
        "import attachd.service.run as run\n"
        "import attachd.service.build as build\n"
        "whole = build.read_secret\n"
        "def broken(*given, **named):\n"
        "    raise RuntimeError('a bug with ' + whole(*given, **named))\n"
        "build.read_secret = broken\n"
    )
    done = subprocess.run(
        [*bench.command("--debug", "run", "--once", driver=driver)],
        capture_output=True,
        text=True,
        check=False,
        cwd=bench.directory,
    )
    assert done.returncode == 1
    assert "RuntimeError: a bug with ***" in done.stderr
    assert "Traceback" in done.stderr
    canaries.missing_from("the traceback", done.stdout + done.stderr)


def test_a_literal_secret_that_anybody_may_read_is_warned_of_with_its_place(bench):
    """`check` names line and column, and never the secret."""
    bench.rules.chmod(0o644)
    done = bench.call("check")
    line = next(n for n, each in enumerate(bench.rules.read_text().splitlines(), 1) if TOKEN in each)
    assert f"rules.yaml:{line}:12: destinations.ion.token: warning: the secret stands here" in (
        done.stdout + done.stderr
    )
    assert "everybody on this machine may read the file" in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    Path(bench.rules).chmod(0o600)
    assert "everybody" not in bench.call("check").stdout + bench.call("check").stderr
