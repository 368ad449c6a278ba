import json
import re
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from graphql import parse, validate

from attachd.config.load import load
from attachd.destinations.lookups import Lookups
from attachd.simulator import Simulator
from attachd.simulator.schema import build

PAGE = (Path(__file__).parents[2] / "docs" / "lookups.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
EACH = pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
FOUND = {"step_of_unit": "1000042", "third_step": "1000043", "run_of_unit": "2000077"}
"""The entity that each lookup of the page leads to, in a world with one unit."""


@pytest.fixture
def asker():
    """Ask a simulated ION that knows one unit, its run and three steps."""
    with Simulator() as simulator:
        simulator.learn_unit("AB1234", 5, 77, [(41, "clean"), (42, "torque"), (43, "inspect")])

        def ask(document, variables):
            content = json.dumps({"query": document, "variables": variables}).encode()
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {simulator.token}"}
            request = urllib.request.Request(simulator.graphql_url, content, headers)
            with urllib.request.urlopen(request) as answer:
                return SimpleNamespace(data=json.load(answer)["data"])

        yield SimpleNamespace(ask=ask)


def read(example, tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(example)
    return load(file)


@EACH
def test_every_example_checks_out(example, tmp_path):
    """A rules.yaml copied from the page has no problem, and its own examples hold."""
    settings, warnings = read(example, tmp_path)
    assert warnings == []
    assert all(rule.examples for folder in settings.folders for rule in folder.rules)


@EACH
def test_every_query_fits_the_schema(example, tmp_path):
    """No query asks for a field or filter that the simulated ION does not have."""
    settings, _ = read(example, tmp_path)
    (lookup,) = settings.destinations["ion"].lookups.values()
    faults = [validate(build(text_ids=False), parse(query.document)) for query in lookup.queries]
    assert faults == [[]] * len(lookup.queries)


@EACH
def test_every_lookup_leads_where_the_page_says(example, tmp_path, asker):
    """The target of each rule's example is walked to its entity."""
    settings, _ = read(example, tmp_path)
    lookups = Lookups(settings.destinations["ion"].lookups, asker, lambda: 0.0)
    targets = [made.target for rule in settings.folders[0].rules for made in rule.examples if made.target]
    assert [lookups.entity_of(target) for target in targets] == [FOUND[targets[0]["lookup"]]]


def test_the_page_has_its_examples():
    """Each lookup that is walked stands on the page."""
    assert sorted(re.findall(r"^  (\w+):\n    - query", PAGE, flags=re.MULTILINE)) == sorted(FOUND)
