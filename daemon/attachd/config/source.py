"""The bytes of rules.yaml → one YAML node tree, or the place where it stops being YAML.

PyYAML's `compose` gives nodes with marks; nothing is constructed here, so no tag can run code.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml.error import Mark, MarkedYAMLError
from yaml.reader import ReaderError

from attachd.config.files import open_at_once
from attachd.config.search import NoConfig
from attachd.errors import Problem

LARGEST_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of the file, and whether everybody on this machine may read it."""

    text: str
    world_readable: bool


class NotYaml(Exception):
    """The file stops being one YAML document; `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


def read(path: Path) -> Source:
    """Read the file.

    Raises:
        NoConfig: it cannot be opened or read.
        NotYaml: it is too large or not UTF-8.
    """
    try:
        with open_at_once(path) as stream:
            data = stream.read(LARGEST_FILE + 1)
            mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NoConfig(f"{path}: {reason}", hint="check the path and its permissions") from error
    if len(data) > LARGEST_FILE:
        raise NotYaml(Problem(1, 1, "", "the file is larger than 1 MiB", "is it rules.yaml?"))
    return Source(text=decode(data), world_readable=bool(mode & 0o004))


def decode(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises:
        NotYaml: it is something else; says at which line and column.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8-sig", "replace"), None)
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise NotYaml(Problem(line, column, "", what, "save the file as UTF-8")) from None


def compose(text: str) -> yaml.Node | None:
    """Give the node tree of the one document in `text`, None for an empty one.

    Raises:
        NotYaml: with the first syntax error; the text quotes nothing that could be a secret.
    """
    loader = yaml.SafeLoader("")
    try:
        loader = yaml.SafeLoader(text)
        return loader.get_single_node()
    except ReaderError as error:
        line, column = _position(text, error.position)
        what = f"character U+{_code(error):04X} is not allowed in YAML"
        raise NotYaml(
            Problem(line, column, "", what, "delete it, or write it as an escape in quotes")
        ) from None
    except MarkedYAMLError as error:
        raise NotYaml(_syntax_problem(error, text)) from None
    except RecursionError:
        raise NotYaml(Problem(1, 1, "", "the document is nested too deeply")) from None
    except (ValueError, OverflowError):  # PyYAML passes \U escapes and %YAML versions on to chr() and int()
        mark = loader.get_mark()
        raise NotYaml(
            Problem(mark.line + 1, mark.column + 1, "", "an escape or directive is not valid")
        ) from None
    finally:
        loader.dispose()


def _syntax_problem(error: MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what, hint = _wording(error, mark, text)
    return Problem(line, column, "", what, hint)


def _wording(error: MarkedYAMLError, mark: Mark | None, text: str) -> tuple[str, str]:
    problem = str(error.problem or error.context or "not valid YAML")
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "a tab stands where YAML wants spaces", "indent with spaces"
    if "another document" in problem:
        return "a second document starts here", "keep everything in one document: delete the `---`"
    if "undefined alias" in problem or "expected alphabetic or numeric" in problem:
        return "text cannot start with `*` or `&`: they stand for an alias and its anchor", "quote it"
    if "cannot start any token" in problem:
        return "text cannot start with this character", "quote it"
    if "mapping values are not allowed" in problem:
        return "a `:` is not allowed here", "quote text with `: ` in it, or check the indentation"
    hint = (
        "check the indentation, brackets and quotes before this place; text that starts with `{` needs quotes"
    )
    return f"not valid YAML: {_without_quotes(problem)}", hint


def _without_quotes(problem: str) -> str:
    """Leave out what PyYAML quotes from the file, except the names of tokens such as '<block end>'."""
    return re.sub(r"'[^']*'", lambda found: found[0] if _is_harmless(found[0]) else "something else", problem)


def _is_harmless(quoted: str) -> bool:
    return len(quoted) <= len("'x'") or re.fullmatch("'<[a-z ]+>'", quoted) is not None


def _position(text: str, index: int | None) -> tuple[int, int]:
    before = text if index is None else text[:index]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _code(error: ReaderError) -> int:
    character = error.character
    return character if isinstance(character, int) else ord(character)
