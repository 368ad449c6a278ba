"""The JSON Schema of rules.yaml (draft 2020-12), for editors."""

from typing import Any

from attachd.config.document import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Give the schema, made from the models that validate the file; top-level `x-` keys are free."""
    made = _tidy(Document.model_json_schema(by_alias=True))
    return {
        "$schema": DIALECT,
        "title": "attachd rules.yaml",
        **made,
        "patternProperties": {"^x-": {}},
    }


def _is_noise(key: str, value: Any) -> bool:
    """Say whether this is pydantic's null default, or a title that only repeats the key."""
    return (key == "default" and value is None) or (key == "title" and isinstance(value, str))


def _tidy(node: Any) -> Any:
    """Leave out what pydantic adds because every field is optional there, and refuse unknown names."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _tidy(value) for key, value in node.items() if not _is_noise(key, value)}
    if "patternProperties" in kept:
        kept.setdefault("additionalProperties", False)
    choices = kept.get("anyOf")
    if isinstance(choices, list):
        kept.pop("anyOf")
        sound = [choice for choice in choices if choice != {"type": "null"}]
        kept = {**sound[0], **kept} if len(sound) == 1 else {"anyOf": sound, **kept}
    return kept
