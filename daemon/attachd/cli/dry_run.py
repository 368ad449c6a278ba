"""How `attachd run --once --dry-run` shows what would be sent, and what not and why."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from attachd.cli.entries import entry_json, error_text
from attachd.cli.output import complain, write, write_json_array
from attachd.core.paths import escape
from attachd.service.dry_run import SEND, Would
from attachd.status.showing import target_text

_WORDS = {
    "duplicate": "the same bytes go, or went, to the same target by another delivery",
    "existing": "it lay there before the first start",
    "superseded": "another delivery takes over",
    "ready": "not reached before the end",
    "active": "not reached before the end",
}


def show_lines(found: Iterator[Would]) -> None:
    """Write one line for each file, and on standard error how many there are of each kind."""
    counts: Counter[str] = Counter()
    for each in found:
        counts[each.what] += 1
        write(_line(each))
    total = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    complain(f"would: {total or 'do nothing'}; nothing was sent")


def show_json(found: Iterator[Would]) -> None:
    """Write an array of what `list` gives for each, with `would` in the place of `state`."""
    write_json_array(_as_json(each) for each in found)


def _line(would: Would) -> str:
    entry = would.entry
    if would.what == SEND:
        said = f"to {target_text(entry.destination, entry.target)}, as {entry.filename} (rule {entry.rule})"
    else:
        said = error_text(entry.error) or _WORDS.get(would.what, "")
    return f"{would.what:<9}  {escape(entry.path)}{': ' if said else ''}{said}"


def _as_json(would: Would) -> dict[str, Any]:
    entry = entry_json(would.entry)
    for gone in ("state", "call", "attempts", "remote_id", "next_attempt_at"):
        entry.pop(gone)
    return {"would": would.what, **entry}
