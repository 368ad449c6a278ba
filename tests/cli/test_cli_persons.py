import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from attachd.cli.words import user_name
from attachd.model import ErrorInfo, ErrorKind, State

LOST = ErrorInfo(kind=ErrorKind.UNKNOWN_OUTCOME, message="the answer was lost", hint="look there")


def doubt(project, path="st-3/42/a.jpg"):
    number = project.add(path)
    delivery = project.claim()
    assert project.store.record_intent(delivery, "register")
    project.move(delivery, State.DOUBTFUL, error=LOST)
    return number


def shown(call, number):
    return json.loads(call("show", str(number), "--json").out)


def test_dismiss_says_who_and_why(project, attachd, call):
    """A dismissed delivery is listed as no problem; history has the user and the reason, made harmless."""
    project.build(lambda project: project.hold("st-3/42/a.jpg"))
    ended = attachd("dismiss", "1", "--reason", "scrapped\x1b[31m\n by QA")
    assert (ended.code, ended.out) == (0, "1: dismissed\n")
    assert json.loads(call("list", "--problems", "--json").out) == []
    last = shown(call, 1)["history"][-1]
    assert last["by"] == f"dismiss ({user_name()})"
    assert last["detail"].startswith("not needed: scrapped")
    assert "\x1b" not in call("show", "1").out
    status = json.loads(call("status", "--json").out)
    assert status["states"]["dismissed"] == 1
    assert "1 not needed" in call("status").out


def test_dismiss_refuses_what_is_attached(project, call):
    """An attached one stays attached: exit code 1 with the reason, and unknown ids are told."""
    project.build(lambda project: project.attach("st-3/42/a.jpg"))
    ended = call("dismiss", "1", "7")
    assert ended.code == 1
    assert ended.err.splitlines() == ["1: not dismissed: it is attached", "7: no delivery has this id"]
    assert call("dismiss").code == 2


def test_resolve_attached(project, attachd, call):
    """A doubtful delivery becomes done under the id that the person gave."""
    project.build(doubt)
    ended = attachd("resolve", "1", "--attached", " 4711 ", "--reason", "seen in ION")
    assert (ended.code, ended.out) == (0, "1: attached as 4711\n")
    entry = shown(call, 1)
    assert (entry["state"], entry["remote_id"], entry["error"]) == ("done", "4711", None)
    assert entry["history"][-1]["by"] == f"resolve ({user_name()})"
    assert "seen in ION" in entry["history"][-1]["detail"]


def test_resolve_not_attached(project, call):
    """A doubtful delivery goes again; a second word comes too late and is refused."""
    project.build(doubt)
    assert call("resolve", "1", "--not-attached").out == "1: goes again\n"
    assert shown(call, 1)["state"] == "ready"
    again = call("resolve", "1", "--attached", "5")
    assert again.code == 1
    assert "no doubt" in again.err


@pytest.mark.parametrize(
    "words", [(), ("--attached", "1", "--not-attached"), ("--attached", " "), ("--attached", "a\nb")]
)
def test_resolve_wants_exactly_one_word(project, call, words):
    """Neither or both options, and an id that is none, are usage errors."""
    project.build(doubt)
    assert call("resolve", "1", *words).code == 2


def test_retry_again_makes_a_new_delivery(project, call):
    """The old delivery stays done; the new one says of which it is the repetition, and by whom."""
    project.build(lambda project: project.attach("st-3/42/a.jpg"))
    ended = call("retry", "1", "--again")
    assert (ended.code, ended.out) == (0, "1: goes again as delivery 2\n")
    assert [shown(call, number)["state"] for number in (1, 2)] == ["done", "ready"]
    (birth,) = shown(call, 2)["history"]
    assert (birth["by"], birth["detail"]) == (f"retry ({user_name()})", "sent anew, as delivery 1 was")
    assert "already" in call("retry", "1", "--again").err
    assert call("retry", "--all", "--again").code == 2


@pytest.mark.parametrize("command", [("dismiss", "1"), ("resolve", "1", "--not-attached")])
def test_without_a_ledger_there_is_nothing_to_say(project, call, command):
    """Before the first start: exit code 1, and no ledger is made."""
    ended = call(*command)
    assert ended.code == 1
    assert "no ledger" in ended.err
    assert not os.path.exists(project.ledger)  # noqa: PTH110 - as it stands


def test_one_of_two_words_wins(project, call):
    """Of `dismiss` and `resolve` at the same moment one is done and the other is told why not."""
    numbers = []

    def fill(project):
        for index in range(4):
            number = doubt(project, f"st-3/42/{index}.jpg")
            project.move(project.store.doubtful("ion")[0], State.HELD, error=LOST)
            numbers.append(str(number))

    project.build(fill)
    commands = [["dismiss", *numbers], *(["resolve", each, "--attached", "9"] for each in numbers)]

    def run(words):
        return subprocess.run(
            [sys.executable, "-m", "attachd", *words], cwd=project.directory, capture_output=True, check=False
        )

    with ThreadPoolExecutor(len(commands)) as pool:
        ended = list(pool.map(run, commands))
    dismissed = len(ended[0].stdout.splitlines())
    resolved = sum(not each.returncode for each in ended[1:])
    assert dismissed + resolved == len(numbers)
    states = [shown(call, number)["state"] for number in numbers]
    assert (states.count("dismissed"), states.count("done")) == (dismissed, resolved)
    assert all(len(shown(call, number)["history"]) == 5 for number in numbers)
