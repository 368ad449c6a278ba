"""Draws the table of `attachd.core.states` as a diagram; run it to put it into docs/delivery.md anew."""

from pathlib import Path

from attachd.core.states import SHOWN_AS, TRANSITIONS
from attachd.model import State

PAGE = Path(__file__).parent / "delivery.md"
OPENING, CLOSING = "```mermaid\n", "```\n"


def draw() -> str:
    """Give the diagram: every state, grouped by how people see it, and every move."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.READY}"]
    for before in State:
        lines += [f"    {before} --> {after}" for after in State if after in TRANSITIONS[before]]
    lines += [f"    {state} --> [*]" for state in State if not TRANSITIONS[state]]
    lines += [f"    {state}: {state} ({SHOWN_AS[state]})" for state in State]
    return "\n".join(lines) + "\n"


def renewed(page: str) -> str:
    """Give the page with the diagram as the table has it now."""
    before, _, rest = page.partition(OPENING)
    _, _, after = rest.partition(CLOSING)
    return before + OPENING + draw() + CLOSING + after


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
