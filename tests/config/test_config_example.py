import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from attachd.config.document import Document, Part
from attachd.config.load import load
from attachd.config.schema import schema

EXAMPLE = Path(__file__).parents[2] / "rules.yaml"


def parts(part: type[Part]) -> Iterator[type[Part]]:
    """Give a model and all models below it."""
    yield part
    names = set(re.findall(r"\$defs/(\w+)", str(part.model_json_schema())))
    yield from (each for each in Part.__subclasses__() if each.__name__ in names)


def all_keys() -> set[str]:
    return {key for part in parts(Document) for key in part.keys()}  # noqa: SIM118 - no mapping, a model's keys


def test_the_example_checks_out_without_secrets_or_warnings():
    """It works as it is, without ION_URL and ION_TOKEN being set."""
    settings, warnings = load(EXAMPLE, {})
    assert warnings == []
    assert settings.destinations["ion"].url == "https://api.firstresonance.io/graphql"
    assert settings.folders[0].path == str(EXAMPLE.parent / "drop")
    assert len(settings.folders[0].rules) == 3


def test_the_example_takes_the_address_from_the_environment():
    """The demo points it at the simulator by ION_URL."""
    settings, _ = load(EXAMPLE, {"ION_URL": "http://127.0.0.1:4000/graphql"})
    assert settings.destinations["ion"].url == "http://127.0.0.1:4000/graphql"


@pytest.mark.parametrize("key", sorted(all_keys()))
def test_the_example_shows_every_key(key):
    """A key that is not in the example, at least as a comment, is one that nobody finds."""
    assert re.search(rf"\b{key}\b", EXAMPLE.read_text())


def test_the_example_has_examples_of_both_kinds_for_each_rule():
    """Each rule shows a path that it takes and what it makes of it."""
    settings, _ = load(EXAMPLE, {})
    for rule in settings.folders[0].rules:
        assert {example.match for example in rule.examples} == {True, False}


def test_the_schema_describes_every_key():
    """Editors are told each key, which are required, and that there are no others."""
    made = schema()
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["required"] == ["version", "destinations", "folders"]
    assert made["patternProperties"] == {"^x-": {}}
    known = {key for each in (made, *made["$defs"].values()) for key in each["properties"]}
    assert known == all_keys()
    assert all(each["additionalProperties"] is False for each in made["$defs"].values())


def test_the_schema_has_the_shapes_of_the_contract():
    """Alternatives, choices, units and exclusive keys are said in terms an editor knows."""
    shapes = schema()["$defs"]
    rule, destination = shapes["Rule"], shapes["Destination"]
    assert rule["oneOf"] == [{"required": ["match"]}, {"required": ["regex"]}]
    assert destination["oneOf"] == [{"required": ["token"]}, {"required": ["oauth"]}]
    assert destination["properties"]["kind"]["enum"] == ["ion", "glue"]
    assert [choice.get("type") for choice in rule["properties"]["match"]["oneOf"]] == ["string", "array"]
    assert re.fullmatch(shapes["Folder"]["properties"]["settle"]["pattern"], "2s")
    assert "null" not in str(shapes)
