"""How commands write: safe text, JSON, tables for a terminal and plain lines for a pipe.

Names of files are hostile data. Whatever is written passes `safe_text`; rich is given `Text`, never markup.
A reader that leaves early (`| head`) is no failure: the rest of the output is dropped, the exit code stays.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any, TextIO
from unicodedata import combining, east_asian_width

from attachd.printable import safe_text

_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        heading: its name.
        right: whether values stand to the right, as numbers do.
        wraps: whether a terminal may break its values; the first such column is the table's main one.
        below: on a terminal its values stand below those of the main column, to keep the table narrow.
        colors: on a terminal, the colour of a value.
    """

    heading: str
    right: bool = False
    wraps: bool = False
    below: bool = False
    colors: Mapping[str, str] = field(default_factory=dict)


def write(*lines: str) -> None:
    """Write lines to standard output, made safe for a terminal."""
    _write_lines(sys.stdout, [safe_text(line) for line in lines])


def complain(*lines: str) -> None:
    """Write lines to standard error, made safe for a terminal."""
    _write_lines(sys.stderr, [safe_text(line) for line in lines])


def write_json(value: Any) -> None:
    """Write a value as indented JSON; the escaped form of paths keeps it free of lone surrogates."""
    _write_lines(sys.stdout, [_json(value)])


def write_json_array(values: Iterable[Any]) -> None:
    """Write an array as `write_json` does, one value at a time, so that a long one needs no memory."""
    opening = "["
    for value in values:
        if not _write(sys.stdout, f"{opening}\n{indent(_json(value), '  ')}"):
            return
        opening = ","
    _write_lines(sys.stdout, ["[]" if opening == "[" else "\n]"])


def write_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: drawn by rich on a terminal, aligned plain text without a cut in a pipe."""
    if sys.stdout.isatty():
        _draw(columns, rows)
    else:
        write(*_plain_table(columns, rows))


def write_fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and values below each other, the values aligned."""
    width = max((len(name) for name, _ in pairs), default=0)
    write(*[f"{name.ljust(width)}  {value}".rstrip() for name, value in pairs])


def _json(value: Any) -> str:
    plain = "utf" not in (sys.stdout.encoding or "").lower()
    text = json.dumps(value, indent=2, ensure_ascii=plain)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _write_lines(stream: TextIO, lines: Sequence[str]) -> None:
    _write(stream, "".join(f"{line}\n" for line in lines), flush=True)


def _write(stream: TextIO, text: str, *, flush: bool = False) -> bool:
    """Write; False where nobody reads any more."""
    try:
        stream.write(_encodable(text, stream.encoding or "ascii"))
        if flush:
            stream.flush()
    except BrokenPipeError:
        _silence(stream)
        return False
    except OSError:
        if stream is not sys.stderr:
            raise
        _silence(stream)  # a log that takes nothing any more must not keep files from being attached
        return False
    return True


def _encodable(text: str, encoding: str) -> str:
    # With LANG=C a stream may be ASCII: then é is written as \xe9 rather than not at all.
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _silence(stream: TextIO) -> None:
    # What the docs of `signal` advise for SIGPIPE: otherwise the flush at exit fails once more.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is all that is wanted
        os.dup2(nowhere.fileno(), stream.fileno())


def _plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = [[column.heading for column in columns], *[[safe_text(cell) for cell in row] for row in rows]]
    widths = [max(_width(row[index]) for row in shown) for index in range(len(columns))]
    return [_plain_row(columns, row, widths) for row in shown]


def _plain_row(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for column, cell, width in zip(columns, row, widths, strict=True):
        gap = " " * (width - _width(cell))
        cells.append(gap + cell if column.right else cell + gap)
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Count terminal cells: East Asian wide characters take two, combining marks none (UAX #11)."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(character) in "WF" else not combining(character) for character in text)


def _stacked(columns: Sequence[Column], cells: list[str]) -> list[str]:
    """Put what belongs below the main column there."""
    main = next((index for index, column in enumerate(columns) if column.wraps), 0)
    below = [cell for column, cell in zip(columns, cells, strict=True) if column.below and cell]
    cells[main] = "\n".join([cells[main], *below])
    return cells


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    # rich costs 80 ms, which commands that write into a pipe need not pay.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = [index for index, column in enumerate(columns) if not column.below]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index in drawn:
        table.add_column(
            Text(columns[index].heading),
            justify="right" if columns[index].right else "left",
            no_wrap=not columns[index].wraps,
            overflow="fold",
        )
    for row in rows:
        cells = _stacked(columns, [safe_text(cell) for cell in row])
        table.add_row(*[Text(cells[index], columns[index].colors.get(cells[index], "")) for index in drawn])
    try:
        Console(file=sys.stdout, highlight=False, markup=False, emoji=False).print(table)
    except BrokenPipeError:
        _silence(sys.stdout)
