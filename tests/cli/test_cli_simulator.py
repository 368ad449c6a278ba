import json
import signal
import socket
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest


def test_it_serves_until_it_is_told_to_stop(project):
    """`simulator` says what to set and where its page is, answers there, and SIGTERM ends it with 0."""
    command = [sys.executable, "-m", "attachd", "simulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        said = [child.stdout.readline() for _ in range(3)]
        try:
            url = said[0].removeprefix("export ION_URL=").strip()
            token = said[1].removeprefix("export ION_TOKEN=").strip()
            body = json.dumps({"query": '{ runStep(id: "42") { entity { id } } }'}).encode()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            with urlopen(Request(url, data=body, headers=headers), timeout=20) as answer:
                found = json.load(answer)
            assert str(found["data"]["runStep"]["entity"]["id"]) == "1000042"
        finally:
            child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
    assert url.startswith("http://127.0.0.1:")


def test_it_speaks_for_glue_too(project):
    """`simulator` prints Glue's address and token, and its switches choose what Glue is like."""
    switches = ["--glue-upload", "post", "--glue-messages", "messages", "--glue-unique-by", "--glue-metadata"]
    command = [sys.executable, "-m", "attachd", "simulator", *switches]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        said = [child.stdout.readline() for _ in range(4)]
        try:
            url = said[2].removeprefix("export GLUE_URL=").strip()
            token = said[3].removeprefix("export GLUE_TOKEN=").strip()
            query = '{ __type(name: "SendMessageInput") { name } node(id: "wks_simulator") { id } }'
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            body = json.dumps({"query": query}).encode()
            with urlopen(Request(url, data=body, headers=headers), timeout=20) as answer:
                found = json.load(answer)["data"]
            assert found == {"__type": {"name": "SendMessageInput"}, "node": {"id": "wks_simulator"}}
        finally:
            child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0


def test_a_taken_port_is_said(project, attachd):
    """Where the port is taken the exit code is 1, with the port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = attachd("simulator", "--port", str(port))
    assert ended.code == 1
    assert f"127.0.0.1:{port}" in ended.err
    assert "choose another port" in ended.err


@pytest.mark.parametrize("command", ["simulator", "demo"])
def test_without_its_extra_it_says_what_to_install(project, attachd, tmp_path, command):
    """Where graphql-core is not installed, both commands name the extra, and exit with 1."""
    missing = tmp_path / "path" / "graphql"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError('No module', name='graphql')\n")
    ended = attachd(command, PYTHONPATH=str(missing.parent))
    assert ended.code == 1
    assert "pip install 'attachd[simulator]'" in ended.err
    assert "Traceback" not in ended.err


def test_a_port_is_a_number(project, call):
    """A port beyond 65535 is a usage error."""
    assert call("simulator", "--port", "65536").code == 2
