"""Whether a Glue takes what attachd sends, against a schema of its own making."""

import pytest

from attachd.simulator import Simulator

ALONE, SAID, PLACED = frozenset(), frozenset({"message"}), frozenset({"message", "thread"})


@pytest.fixture
def unfit(make_glue):
    """Say what a Glue that is like this lacks for these targets."""
    with_stop = []

    def ask(targets, **manner):
        running = Simulator(**manner)
        running.start()
        with_stop.append(running)
        account = make_glue(url=running.glue_url, token_text=running.glue_token)
        return list(account.unfit(targets))

    yield ask
    for each in with_stop:
        each.stop()


@pytest.mark.parametrize("metadata", [False, True])
def test_the_vendors_schema_takes_all_of_it(unfit, metadata):
    """Files alone and messages fit what the pages say."""
    assert unfit([ALONE, SAID], glue_metadata=metadata) == []
    assert unfit([ALONE, PLACED], glue_messages="messages", glue_metadata=metadata) == []


def test_a_message_that_does_not_fit_is_told(unfit):
    """Each kind of target is held against the schema by itself."""
    (fault,) = unfit([ALONE, SAID], glue_messages="messages")
    assert "thread" in fault
    assert unfit([ALONE], glue_messages="messages") == []


def test_another_api_is_told(small, make_glue):
    """Where the address is not Glue's API, every document that it lacks is told."""
    with Simulator() as ion:
        account = make_glue(url=ion.graphql_url, token_text=ion.token)
        faults = list(account.unfit([ALONE]))
    assert {each.partition(":")[0] for each in faults} == {"open", "create", "verify"}
