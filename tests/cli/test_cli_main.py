import json
import subprocess
import sys
from pathlib import Path

import pytest

from attachd.cli.commands import COMMANDS
from attachd.cli.main import attachd as group
from attachd.cli.main import error_lines
from attachd.errors import ConfigError, Problem, UserError


def test_help_lists_every_command_quickly(project, attachd):
    """`--help` names every command and imports none of the heavy libraries for it."""
    ended = attachd("--help")
    assert ended.code == 0
    assert all(name in ended.out for name in COMMANDS)
    code = (
        "import sys\nfrom attachd.cli.main import run_command\nrun_command(['--help'])\n"
        "sys.exit(any(name in sys.modules for name in ('pydantic', 'sqlite_utils', 'requests', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_has_help_and_its_summary_is_honest(project, call, name):
    """Every command explains itself, under the name it is listed by."""
    ended = call(name, "--help")
    assert ended.code == 0
    assert f"Usage: attachd {name}" in ended.out
    assert group.get_command(group.make_context("attachd", ["x"], resilient_parsing=True), name).name == name


def test_version(project, attachd):
    """`--version` gives name and version."""
    ended = attachd("--version")
    assert (ended.code, ended.out.split()[0]) == (0, "attachd")


def test_usage_errors_give_2(project, call):
    """A command or option that is not there gives exit code 2 and the nearest one."""
    ended = call("lst")
    assert ended.code == 2
    assert "did you mean list?" in ended.err
    assert call("status", "--jsn").code == 2
    assert call("run", "--deadline", "5s").code == 2
    ended = call("run", "--once", "--deadline", "soon")
    assert ended.code == 2
    assert "must be a duration" in ended.err


def test_no_rules_yaml_gives_78(project, call):
    """Where no rules.yaml is found, or the named one is not there, the exit code is 78 and says where."""
    ended = call("-c", "elsewhere.yaml", "status")
    assert ended.code == 78
    assert "elsewhere.yaml" in ended.err


def test_the_config_search_order(project, attachd, tmp_path):
    """`-c` goes before $ATTACHD_CONFIG, and that before ./rules.yaml."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "rules.yaml"
    other.write_text(project.rules.read_text())

    def folder(*words, **environ):
        return json.loads(attachd(*words, "status", "--json", **environ).out)["folders"][0]["path"]

    assert folder() == project.drop
    assert folder(ATTACHD_CONFIG=str(other)) == str(tmp_path / "other" / "drop")
    assert folder("-c", "rules.yaml", ATTACHD_CONFIG=str(other)) == project.drop


def test_check_says_ok_with_counts(project, attachd):
    """A sound file gives exit code 0 and what is in it; secrets need not be set."""
    ended = attachd("check")
    assert ended.code == 0
    assert ended.out == f"{project.rules}: ok, 1 folder, 2 rules, 1 example\n"


def test_check_says_everything_at_once(project, attachd):
    """Each problem is one line with its place, and the exit code is 78; `run` says the same."""
    text = (
        project.rules.read_text()
        .replace("existing: upload", "existing: maybe")
        .replace("to: ion", "to: moon")
    )
    project.rules.write_text(text)
    ended = attachd("check")
    lines = ended.err.splitlines()
    assert ended.code == 78
    assert any(line.startswith(f"{project.rules}:9:15: folders[0].existing: ") for line in lines)
    assert sum("moon" in line for line in lines) == 2
    assert attachd("run", "--once").code == 78


def test_an_example_that_fails_gives_78(project, call):
    """`check` runs the examples."""
    project.rules.write_text(project.rules.read_text().replace('{run_step: "42"}}\n', '{run_step: "43"}}\n'))
    ended = call("check")
    assert ended.code == 78
    assert "examples[0]" in ended.err


def test_schema_is_json(project, attachd):
    """`schema` prints a JSON Schema with the keys of the file, and needs no rules.yaml."""
    project.rules.unlink()
    ended = attachd("schema")
    assert ended.code == 0
    assert {"version", "folders", "destinations"} <= set(json.loads(ended.out)["properties"])


def test_a_broken_ledger_gives_1(project, call):
    """A file that is no ledger is said to be none, without a traceback."""
    (project.directory / "attachd.db").write_bytes(b"not a database, but long enough to be read " * 50)
    for words in (("status",), ("list",), ("show", "1"), ("retry", "1")):
        ended = call(*words)
        assert ended.code == 1
        assert "attachd.db" in ended.err
        assert "unexpected" not in ended.err


def test_output_in_a_poor_locale(project, attachd):
    """Where the terminal cannot say a character, it is escaped; JSON stays JSON."""
    project.build(lambda project: project.attach("st-1/7/測定.jpg"))
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    assert r"\u6e2c\u5b9a.jpg" in attachd("list", **poor).out
    assert json.loads(attachd("list", "--json", **poor).out)[0]["path"] == "st-1/7/測定.jpg"


def test_works_without_a_home(project, attachd):
    """An empty HOME, and none at all, change nothing."""
    assert attachd("check", HOME="").code == 0


def test_errors_for_a_person_show_message_and_hint():
    """A user error is two lines, a config error all its problems, neither a traceback."""
    assert error_lines(UserError("it failed", hint="do this")) == ["attachd: it failed", "  do this"]
    problems = [Problem(2, 5, "folders", "is empty", "name one"), Problem(1, 1, "", "is odd", warning=True)]
    lines = error_lines(ConfigError("r.yaml", problems))
    assert lines[1] == "r.yaml:2:5: folders: is empty; name one"
    assert lines[-1] == "attachd: r.yaml: 2 problems"


def test_an_unexpected_error_is_redacted_and_short():
    """A fault of ours gives two lines without secrets; with --debug the traceback comes first."""
    fault = ValueError("PUT https://s3.example/key?X-Amz-Signature=canary failed, Bearer canarycanary")
    short, long = error_lines(fault), error_lines(fault, debug=True)
    assert len(short) == 2
    assert "a fault of attachd: ValueError: PUT https://s3.example/key?***" in short[0]
    assert long[-2:] == short
    assert len(long) > len(short)
    assert "canary" not in "".join([*short, *long])


def test_an_unreadable_file_is_named():
    """An error of the system names the file."""
    error = PermissionError(13, "Permission denied", "/x/attachd.db")
    assert error_lines(error) == ["attachd: /x/attachd.db: Permission denied"]


def test_python_m_and_the_command_are_the_same(project, attachd):
    """The console script and `python -m attachd` answer alike."""
    script = Path(sys.executable).with_name("attachd")
    done = subprocess.run(
        [script, "check"], cwd=project.directory, capture_output=True, text=True, check=False
    )
    ended = attachd("check")
    assert (done.returncode, done.stdout) == (ended.code, ended.out)


def test_a_shell_can_complete(project, attachd):
    """Completion of commands and options works, also after a word that is no command."""
    asked = {"_ATTACHD_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    assert "plain,status" in attachd(COMP_WORDS="attachd sta", **asked).out
    asked["COMP_CWORD"] = "2"
    assert "plain,--json" in attachd(COMP_WORDS="attachd status --j", **asked).out
    assert attachd(COMP_WORDS="attachd nonsense --j", **asked).err == ""


@pytest.mark.parametrize(
    ("line", "word"), [("-c ru", 2), ("check --config ru", 3), ("explain ru", 2), ("verify ru", 2)]
)
def test_a_shell_completes_names_of_files(attachd, line, word):
    """Where a file is asked for, the shell is told to complete one: else it would do less than without us."""
    asked = {"_ATTACHD_COMPLETE": "bash_complete", "COMP_WORDS": f"attachd {line}", "COMP_CWORD": str(word)}
    assert attachd(**asked).out == "file,ru\n"


def test_config_may_stand_behind_the_command(tmp_path):
    """`attachd check -c FILE` is the same as `attachd -c FILE check`."""
    missing = tmp_path / "nowhere.yaml"
    behind = subprocess.run(
        [sys.executable, "-m", "attachd", "check", "-c", str(missing)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert behind.returncode == 78
    assert str(missing) in behind.stderr
