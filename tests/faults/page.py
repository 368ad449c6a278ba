"""Writes docs/faults.md from tests/faults/matrix.toml: `python tests/faults/page.py`."""

import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "faults.md"
CELL_TEST = "test_fault_matrix.py::test_cell"
SYSTEMS = {"ion": "ION", "glue": "Glue"}


def written() -> str:
    """Give the page as the table has it."""
    table = tomllib.loads((HERE / "matrix.toml").read_text())
    lines = [table["page"]["head"].rstrip("\n")]
    for name, each in table["class"].items():
        about = (f"*{name}*", f"`{each['state']}`", str(each["attempts"]), each["means"], each["again"])
        lines.append(f"| {' | '.join(about)} | `{CELL_TEST}` |")
    numbers = {name: number for number, name in enumerate(table["never"], 1)}
    reasons = "\n".join(f"{number}. {table['never'][name]}" for name, number in numbers.items())
    lines += ["", table["page"]["cells"].strip("\n"), "", reasons]
    for kind, calls in table["calls"].items():
        lines += ["", f"## {SYSTEMS[kind]}", "", f"| fault | {' | '.join(f'`{call}`' for call in calls)} |"]
        lines.append("|---" * (len(calls) + 1) + "|")
        for fault in table["fault"]:
            cells = " | ".join(_shown(cell, numbers) for cell in fault[kind])
            lines.append(f"| {fault['name']} | {cells} |")
    return "\n".join(lines) + "\n"


def _shown(cell: str, numbers: dict[str, int]) -> str:
    words = cell.split()
    if words[0] == "-":
        return f"no ({numbers[words[1]]})"
    new = "new URL, " if words[0] == "new" else ""
    name, *kind = words[1:] if new else words
    return f"{new}*{name}*{f' `{kind[0]}`' if kind else ''}"


if __name__ == "__main__":
    PAGE.write_text(written())
