"""What Glue is told of a picture: its page names the values for `createFile`, but not where they go.

So the schema is asked for the place. Where it shows none, or cannot be asked, files are created without: a
preview without its size is no reason to keep a file.
"""

from collections.abc import Mapping

import structlog

from attachd.core.protocols import Receipt
from attachd.destinations.schema import Schema
from attachd.errors import Trouble
from attachd.model import Severity

log = structlog.get_logger("attachd")

Values = Mapping[str, int | str]
"""Of a picture, as Glue names them."""

_INPUT = "CreateFileInput"
_VALUES = frozenset({"width", "height", "blurHash"})


def pixels(facts: Receipt) -> Mapping[str, int]:
    """Give the width and height of a picture as numbers, as far as they are known."""
    return {name: int(facts[name]) for name in ("width", "height") if name in facts}


def metadata(schema: Schema, facts: Receipt) -> Mapping[str, Values]:
    """Give the fields to add to the input of `createFile` for what is known of a picture.

    Raises:
        Trouble: Glue refuses us altogether.
    """
    hashed = {"blurHash": facts["blur_hash"]} if "blur_hash" in facts else {}
    values: Values = {**pixels(facts), **hashed}
    field, takes = _place(schema) if values else ("", frozenset())
    given = {name: value for name, value in values.items() if name in takes}
    return {field: given} if given else {}


def _place(schema: Schema) -> tuple[str, frozenset[str]]:
    """Find the field of the input that takes a size, and which values it takes."""
    try:
        for field, member in schema.type(_INPUT).inputs.items():
            takes = _VALUES & schema.type(member.ref.name).inputs.keys()
            if {"width", "height"} <= takes:
                return field, takes
    except Trouble as trouble:
        if trouble.severity is Severity.REFUSED:
            raise
        log.info("created_without_metadata", why=trouble.message)
    return "", frozenset()
