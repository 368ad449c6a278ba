"""Faults in the short texts that a person wrote into rules.yaml, and how they are put into words."""

import re
from collections.abc import Collection
from difflib import get_close_matches

from attachd.core.paths import escape

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What captures and types may be called: letters, digits and `_`, no digit first."""

_LONGEST_QUOTE = 80


class TextError(ValueError):
    """A text of rules.yaml cannot be used.

    Attributes:
        message: what is wrong, as one clause without a full stop.
        offset: where, in characters from the start of the text.
        hint: what to write instead; may be empty.
    """

    def __init__(self, message: str, *, offset: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


def quoted(text: str) -> str:
    """Put a name from disk or from rules.yaml between quotes, in escaped form, shortened in the middle."""
    shown = escape(text)
    if len(shown) > _LONGEST_QUOTE:
        half = _LONGEST_QUOTE // 2
        shown = f"{shown[:half]}…{shown[-half:]}"
    return f"'{shown}'"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Give the hint for an unknown name: the nearest known one, or all of them."""
    close = get_close_matches(name, sorted(known), n=1)
    if close:
        return f"did you mean {close[0]}?"
    return "known are " + ", ".join(sorted(known))


def brace_fault(brace: str) -> tuple[str, str]:
    """Give message and hint for a brace without its partner."""
    missing = "}" if brace == "{" else "{"
    return f"this {brace} has no {missing}", f"write {brace * 2} for a brace that is meant as text"


class PatternError(TextError):
    """A pattern, a regex or a type cannot be used."""


class TemplateError(TextError):
    """A template cannot be used."""
