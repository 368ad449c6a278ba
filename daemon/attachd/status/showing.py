"""Times and targets in words, the same on the page and in every command."""

from collections.abc import Mapping
from datetime import UTC, datetime

DASH = "-"
"""Stands where there is nothing to say."""


def moment_text(moment: datetime | None) -> str:
    """Give a time for people: UTC to the second, as the log has it."""
    return DASH if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def target_text(destination: str | None, target: Mapping[str, str] | None) -> str:
    """Say where something goes: `ion: run_step 42`, or `ion: lookup unit (serial AB1234)`."""
    if not target:
        return destination or DASH
    rest = ", ".join(f"{key} {value}" for key, value in target.items() if key != "lookup")
    if "lookup" not in target:
        return f"{destination}: {rest}"
    return f"{destination}: lookup {target['lookup']}" + (f" ({rest})" if rest else "")
