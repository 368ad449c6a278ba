"""The types of single values in rules.yaml, as pydantic checks them: strict, with units and alternatives."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from attachd.config.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size

T = TypeVar("T")

FAULT = "attachd"
"""The type of pydantic errors that carry our own words."""


def fault(what: str, hint: str = "") -> PydanticCustomError:
    """Make an error that says `what`, and `hint` as what to do. Neither may hold the value itself."""
    return PydanticCustomError(FAULT, "{what}", {"what": what, "hint": hint})


def _in_units(parse: Callable[[str], T], kind: str, example: str) -> Callable[[object], T]:
    def convert(value: object) -> T:
        if not isinstance(value, str):
            raise fault(f"must be a {kind}", f"write it with its unit, such as {example}")
        try:
            return parse(value)
        except ValueError as error:
            raise fault(str(error), f"write for example {example}") from None

    return convert


def _path(value: object) -> object:
    if isinstance(value, str):
        if not value.strip() or "\0" in value:
            raise fault("must be a path")
        if value == "~" or value.startswith("~/"):
            raise fault("`~` is not expanded", "write the path in full, or relative to this file")
    return value


def _off(value: object) -> object:
    """YAML 1.1 reads a bare `off` as false, and `off` is what the documentation says to write."""
    return "off" if value is False else value


def _version(value: object) -> object:
    if value is True or value != 1:
        raise fault("must be 1", "this attachd knows version 1 only")
    return value


def _one_or_many(value: object) -> str:
    return "many" if isinstance(value, list) else "one"


def _table_or_text(value: object) -> str:
    return "table" if isinstance(value, dict) else "text"


def _word_or_flag(value: object) -> str:
    return "flag" if isinstance(value, bool) else "word"


def _schema(kind: str, pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "pattern": pattern})


Version = Annotated[Literal[1], BeforeValidator(_version)]
Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Duration = Annotated[
    float, BeforeValidator(_in_units(parse_duration, "duration", "2s")), _schema("string", DURATION_PATTERN)
]
Size = Annotated[
    int, BeforeValidator(_in_units(parse_size, "size", "200 MB")), _schema("string", SIZE_PATTERN)
]
PathText = Annotated[str, BeforeValidator(_path)]
Whole = Annotated[Literal["auto", "off"], BeforeValidator(_off)]
Mount = Annotated[
    Annotated[bool, Tag("flag")] | Annotated[Literal["auto"], Tag("word")], Discriminator(_word_or_flag)
]
Texts = Annotated[
    Annotated[Text, Tag("one")] | Annotated[list[Text], Field(min_length=1), Tag("many")],
    Discriminator(_one_or_many),
]
Paths = Annotated[
    Annotated[PathText, Tag("one")] | Annotated[list[PathText], Field(min_length=1), Tag("many")],
    Discriminator(_one_or_many),
]

TABLE_OR_TEXT: Any = Discriminator(_table_or_text)
"""Tells `token: {env: NAME}` from `token: plain text`."""
