import os
from pathlib import Path

import pytest

from attachd.config.load import load
from attachd.config.search import NoConfig, absolute, default_ledger, find_config
from attachd.errors import ConfigError


def test_the_command_line_wins_over_the_environment(tmp_path):
    """`-c`, then `$ATTACHD_CONFIG`, then ./rules.yaml."""
    for name in ("given.yaml", "named.yaml", "rules.yaml"):
        (tmp_path / name).touch()
    environ = {"ATTACHD_CONFIG": str(tmp_path / "named.yaml")}
    assert find_config("given.yaml", environ, tmp_path) == tmp_path / "given.yaml"
    assert find_config(None, environ, tmp_path) == tmp_path / "named.yaml"
    assert find_config(None, {}, tmp_path) == tmp_path / "rules.yaml"


@pytest.mark.parametrize(("given", "environ"), [("no.yaml", {}), (None, {"ATTACHD_CONFIG": "no.yaml"})])
def test_a_file_that_was_asked_for_is_not_replaced_by_another(tmp_path, given, environ):
    """Falling back to the usual places would run the wrong rules."""
    (tmp_path / "rules.yaml").touch()
    with pytest.raises(NoConfig) as caught:
        find_config(given, environ, tmp_path)
    assert str(tmp_path / "no.yaml") in caught.value.message
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("given", "says"), [("/etc", "/etc: it is a directory"), ("/" + 5000 * "a", "too long")]
)
def test_what_can_be_no_file_is_said_as_such(tmp_path, given, says):
    """Both are mistakes in the command line or the environment, and none of attachd."""
    with pytest.raises(NoConfig) as caught:
        find_config(given, {}, tmp_path)
    assert says in caught.value.message


@pytest.mark.skipif(Path("/etc/attachd/rules.yaml").exists(), reason="attachd is set up on this machine")
def test_nothing_found_says_where_was_looked(tmp_path):
    """Both usual places are named, and the two ways to name another."""
    with pytest.raises(NoConfig) as caught:
        find_config(None, {}, tmp_path)
    assert caught.value.message == (
        f"no rules.yaml found; looked at {tmp_path}/rules.yaml and /etc/attachd/rules.yaml"
    )
    assert caught.value.hint == "name it with -c FILE or $ATTACHD_CONFIG"


def test_the_ledger_lies_beside_the_file_except_for_the_system_file():
    """The service's ledger is under /var/lib, every other one beside its rules.yaml."""
    assert default_ledger(Path("/etc/attachd/rules.yaml")) == Path("/var/lib/attachd/attachd.db")
    assert default_ledger(Path("/srv/x/rules.yaml")) == Path("/srv/x/attachd.db")
    assert default_ledger(Path("/etc/attachd/other.yaml")) == Path("/etc/attachd/attachd.db")


def test_the_same_file_by_another_spelling_has_the_same_ledger():
    """`..` in what `-c` says must not lead a shell to another ledger than the service's."""
    assert default_ledger(absolute(Path("/etc/ssl/../attachd/rules.yaml"))) == Path(
        "/var/lib/attachd/attachd.db"
    )


def test_a_pipe_that_nobody_writes_to_is_an_empty_file(tmp_path):
    """A reload that waited for it would stand still until the watchdog ends the service."""
    os.mkfifo(tmp_path / "rules.yaml")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "rules.yaml")
    assert [problem.what for problem in caught.value.problems] == ["the file is empty"]
