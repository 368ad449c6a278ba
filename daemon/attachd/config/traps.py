"""What YAML 1.1 makes of a plain word, and how to say so to somebody who meant another thing.

The rules are those of the YAML 1.1 type repository (https://yaml.org/type/) as PyYAML follows them.
"""

import re

from attachd.config.wording import quoted

PREFIX = "tag:yaml.org,2002:"
TRUE_WORDS = frozenset({"yes", "true", "on"})
FALSE_WORDS = frozenset({"no", "false", "off"})
_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_PLAIN_FRACTION = re.compile(r"[-+]?[0-9]{1,17}\.[0-9]{1,17}")
_TEXT_TAGS = frozenset({PREFIX + "str", PREFIX + "value", PREFIX + "merge"})
SCALAR_TAGS = _TEXT_TAGS | {PREFIX + name for name in ("bool", "int", "float", "null", "timestamp")}


class Trap:
    """Stands for a scalar that YAML reads as something nobody writes on purpose: fits no type."""

    __slots__ = ()


TRAP = Trap()


def plain_value(tag: str, text: str) -> object:
    """Give the value of a scalar: text, bool, int, float or None; `TRAP` for the surprising spellings."""
    name = tag.removeprefix(PREFIX)
    if tag in _TEXT_TAGS:
        return text
    if name == "bool" and text.lower() in TRUE_WORDS | FALSE_WORDS:
        return text.lower() in TRUE_WORDS
    if name == "int" and _PLAIN_NUMBER.fullmatch(text):
        return int(text)
    if name == "float" and _PLAIN_FRACTION.fullmatch(text):
        return float(text)
    return None if name == "null" else TRAP


def explain(tag: str, text: str) -> str:
    """Say what YAML reads a plain scalar as, "" where it is text anyway."""
    name = tag.removeprefix(PREFIX)
    if name == "bool":
        meaning = "true" if text.lower() in TRUE_WORDS else "false"
        return "" if text == meaning else f"{quoted(text)} is read as {meaning}"
    if name == "int":
        return f"{quoted(text)} is read as {_integer_kind(text)}"
    if name == "float":
        kind = "a number in base 60" if ":" in text else "a number"
        return f"{quoted(text)} is read as {kind}"
    if name == "timestamp":
        return f"{quoted(text)} is read as a date"
    return ""


def looks_numeric(text: str) -> bool:
    """Say whether text looks like a number that YAML 1.1 leaves as text, such as `08` or `1e3`."""
    return re.fullmatch(r"[-+]?[0-9][0-9._]*([eE][-+]?[0-9]+)?", text) is not None


def _integer_kind(text: str) -> str:
    digits = text.lstrip("+-").replace("_", "")
    if ":" in digits:
        return "a number in base 60"
    if len(digits) > 1 and digits.startswith("0"):
        names = {"x": "hexadecimal", "b": "binary"}
        return f"a number in {names.get(digits[1].lower(), 'octal')}"
    return "a number"
