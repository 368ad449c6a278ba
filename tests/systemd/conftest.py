"""One booted systemd with attachd installed by docs/install.md, for all tests of this folder."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attachd.simulator.server import Simulator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def _load(name: str):
    """Import a module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"systemd_tests_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


machines = _load("machine")
wheels = _load("wheels")


def commands(heading: str) -> str:
    """Give the commands of a section of docs/install.md, as they stand."""
    text = (ROOT / "docs" / "install.md").read_text()
    section = re.search(
        rf"^## (?:\d\. )?{re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert section, heading
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="session")
def read_commands():
    """Give the function that reads docs/install.md."""
    return commands


@pytest.fixture(scope="session")
def install_page() -> str:
    """Give docs/install.md."""
    return (ROOT / "docs" / "install.md").read_text()


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """Start one ION for the session, and a Glue that takes all that is known of a picture."""
    with Simulator(glue_metadata=True) as running:
        yield running


@pytest.fixture(scope="session")
def machine(tmp_path_factory, simulator) -> Iterator:
    """Boot a systemd and follow docs/install.md in it, from the program to the start."""
    if reason := machines.why_not():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must boot a systemd: {reason}")
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("machine")
    place.chmod(0o755)
    for part in ("wheels", "srv"):
        (place / part).mkdir()
    wheels.build_ours(place / "wheels")
    wheels.pack_installed(place / "wheels")
    booted = machines.Machine(place / "disk", wheels=place / "wheels", drops=place / "srv")
    booted.srv = place / "srv"
    try:
        install(booted, simulator)
        yield booted
    finally:
        booted.close()


def install(booted, simulator) -> None:
    """Follow docs/install.md. Only where ION is, and how long a file settles, is the test's own."""
    booted.run("cp /mnt/wheels/attachd-*.whl /root/")
    booted.drop_in("test", f"[Service]\nEnvironment=ION_URL={simulator.graphql_url}\n")
    for heading in ("The program", "User, directories, unit", "The folder", "The rules"):
        booted.run(commands(heading))
    booted.run(commands("The token"), given=simulator.token)
    booted.run(commands("Start"))


@pytest.fixture
def service(machine, simulator) -> Iterator:
    """Give the machine with a running, idle attachd, and put back what the test changed."""
    machine.run("systemctl reset-failed attachd; systemctl start attachd", check=False)
    machines.wait_until(lambda: machine.property("ActiveState") == "active", "attachd runs")
    yield machine
    simulator.clear_faults()
    machine.run("rm -f /etc/systemd/system/attachd.service.d/just.conf; systemctl daemon-reload")


@pytest.fixture(scope="session")
def wait_until():
    """Give the function that waits for a condition."""
    return machines.wait_until
