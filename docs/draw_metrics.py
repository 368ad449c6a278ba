"""Draws the table of `attachd.page.families`; run it to put it into docs/metrics.md anew."""

from pathlib import Path

from attachd.page.families import FAMILIES

PAGE = Path(__file__).parent / "metrics.md"
OPENING, CLOSING = "| metric | type | labels | meaning |\n", "\n\n"


def draw() -> str:
    """Give the rows: every metric of attachd, in the order of /metrics."""
    lines = ["|---|---|---|---|"]
    for family in FAMILIES:
        labels = " ".join(f"`{label}`" for label in family.labels)
        lines.append(f"| `{family.name}` | {family.kind} | {labels} | {family.meaning} |")
    return "\n".join(lines)


def renewed(page: str) -> str:
    """Give the page with the table as the code has it now."""
    before, _, rest = page.partition(OPENING)
    _, _, after = rest.partition(CLOSING)
    return before + OPENING + draw() + CLOSING + after


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
