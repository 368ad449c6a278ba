"""A person's command that is killed around its only transaction: its word holds as a whole or not at all."""

import pytest

WORDS = {
    "retry": ("g.png", ["retry", "{id}"], "held", "ready"),
    "dismiss": ("g.png", ["dismiss", "{id}"], "held", "dismissed"),
    "resolve as attached": ("lost.png", ["resolve", "{id}", "--attached", "77"], "held", "done"),
    "resolve as not attached": ("lost.png", ["resolve", "{id}", "--not-attached"], "held", "ready"),
    "send anew": ("changes.png", ["retry", "{id}", "--again"], "done", "ready"),
}


def newest(made, name):
    """Give the newest delivery of a file."""
    return max(made.rows(f"filename = '{name}' AND destination = 'ion'"), key=lambda row: row["id"])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_holds_as_a_whole_or_not_at_all(work, tally, word, when):
    """Killed before its commit nothing of it holds, and it may be said again; killed after it, all of it."""
    name, words, before, after = WORDS[word]
    made = work()
    made.first_spell()
    assert made.run() in {4, 75}
    row = newest(made, name)
    assert row["state"] == before
    command = [each.format(id=row["id"]) for each in words]
    assert made.run(*command, point=f"{when} commit", count=1) < 0
    assert newest(made, name)["state"] == (before if when == "before" else after)
    if when == "before":
        assert made.run(*command) == 0, made.log()
        assert newest(made, name)["state"] == after
    tally(points=1)
