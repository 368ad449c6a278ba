"""An answer that was lost, and what a list of ION's attachments makes of it."""

import json
import urllib.request

import pytest

from attachd.simulator.server import Simulator


@pytest.fixture
def simulator():
    """Start an ION that lists the attachments of an entity."""
    with Simulator(listing="entity") as running:
        yield running


def lose_the_answer(bench, driver, do):
    """Let the service be killed while it waits for the answer to its registration."""
    bench.simulator.fault(call="register", do=do)
    service = bench.start(driver)
    bench.wait_until(lambda: bench.simulator.call_counts["register"] == 1, "registered")
    if do != "hang":
        bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "attached")
    bench.kill(service)
    bench.simulator.clear_faults()


def history_of(bench, row):
    shown = json.loads(bench.call("show", str(row["id"]), "--json").stdout)
    return [step["to"] for step in shown["history"]]


def test_a_registration_that_took_effect_is_found(bench, driver):
    """The attachment with our storage key is ours: done with its id, nothing made twice, nobody asked."""
    bench.put("st/9/a.png", b"once only")
    lose_the_answer(bench, driver, {"work_then": "hang"})
    row = bench.settle(driver)
    (attachment,) = bench.simulator.attachments
    assert (row["state"], row["remote_id"]) == ("done", str(attachment.id))
    assert history_of(bench, row) == ["ready", "active", "doubtful", "done"]


def test_a_registration_that_did_not_is_made_again(bench, driver):
    """Where the whole list does not show it, it is registered: no bytes go twice, one attachment stands."""
    bench.put("st/9/a.png", b"once only")
    lose_the_answer(bench, driver, "hang")
    row = bench.settle(driver)
    assert row["state"] == "done"
    assert [str(each.id) for each in bench.simulator.attachments] == [row["remote_id"]]
    assert len(bench.simulator.puts) == 1
    assert bench.simulator.call_counts["register"] == 2


def test_a_list_that_cannot_be_had_is_asked_for_later(bench, driver):
    """Trouble while asking leaves the delivery doubtful until it passes."""
    bench.put("st/9/a.png", b"once only")
    lose_the_answer(bench, driver, {"work_then": "hang"})
    bench.simulator.fault(call="query", do={"status": 503}, times=2)
    row = bench.settle(driver)
    assert row["state"] == "done"
    assert bench.simulator.faults_left == []
    assert len(bench.simulator.attachments) == 1


def test_a_retry_asks_again(bench, driver):
    """A person who gives the right query and retries gets the answer; nothing is repeated blindly."""
    bench.write_rules(extra='doubt: {query: "query($entityId: ID!) { nothing(id: $entityId) }", rows: x}')
    bench.put("st/9/a.png", b"once only")
    lose_the_answer(bench, driver, {"work_then": "hang"})
    row = bench.settle(driver)
    assert (row["state"], row["error"]["kind"]) == ("held", "unknown_outcome")
    assert "Cannot query field 'nothing'" in row["error"]["hint"]
    bench.write_rules()
    assert bench.call("retry", str(row["id"])).returncode == 0
    row = bench.settle(driver)
    assert row["state"] == "done"
    assert len(bench.simulator.attachments) == 1


def test_a_double_is_shown_to_a_person(bench, driver):
    """Two attachments with our storage key: both are named, and a person says which stays."""
    bench.put("st/9/a.png", b"twice already")
    lose_the_answer(bench, driver, {"work_then": "hang"})
    (first,) = bench.simulator.attachments
    register_again(bench, first)
    row = bench.settle(driver)
    assert row["state"] == "held"
    for attachment in bench.simulator.attachments:
        assert str(attachment.id) in row["error"]["hint"]


def register_again(bench, attachment):
    """Make a second attachment of an upload, as another client might."""
    document = (
        "mutation($i: CreateFileAttachmentInput!) "
        "{ createFileAttachment(input: $i) { fileAttachment { id } } }"
    )
    given = {
        "filename": attachment.filename,
        "s3Key": attachment.s3_key,
        "s3Etag": attachment.md5,
        "entityId": attachment.entity_id,
    }
    payload = json.dumps({"query": document, "variables": {"i": given}}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bench.simulator.token}"}
    request = urllib.request.Request(bench.simulator.graphql_url, data=payload, headers=headers)
    with urllib.request.urlopen(request) as answer:
        assert "errors" not in json.load(answer)
