"""Templates of `target`, `filename` and `after`: captures and built-ins put into text, and nothing else.

What goes into a template are names from a drop folder, which anyone may have chosen, so this is substitution
only: no attribute, index, format or conversion. `{{` and `}}` stand for one brace each.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from attachd.core.sentences import NAME, TemplateError, brace_fault, did_you_mean

__all__ = ["AFTER_HASH", "BUILT_INS", "Template", "TemplateError", "parse_filename", "parse_template"]

BUILT_INS = frozenset(
    {"file", "stem", "ext", "path", "dir", "folder", "date", "file_date", "size", "host", "sha256"}
)
"""Names that every template may use and no capture may bear."""

AFTER_HASH = frozenset({"sha256"})
"""Built-ins that are known only once the file has been read: for `filename` and `after`, not for `target`."""

_WITH_SLASHES = frozenset({"path", "dir", "folder"})
_PARTS = re.compile(r"(?P<text>(?:[^{}]|\{\{|\}\})+)|\{(?P<field>[^{}]*)\}|(?P<stray>[{}])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A parsed template.

    Attributes:
        text: as it stands in rules.yaml.
        names: the captures and built-ins it uses, each once, in order of first use.
    """

    text: str
    names: tuple[str, ...]
    _parts: tuple[tuple[bool, str], ...] = field(repr=False, compare=False)

    def render(self, values: Mapping[str, str]) -> str:
        """Put the values in. A name that has none gives "": a regex group that took no part in the match."""
        return "".join(values.get(part, "") if is_name else part for is_name, part in self._parts)


def parse_template(text: str, *, allowed: Collection[str]) -> Template:
    """Parse a template that may use the names in `allowed`.

    Raises:
        TemplateError: a brace without its partner, something that is no plain name, or an unknown name.
    """
    parts = tuple(_part(found, allowed) for found in _PARTS.finditer(text))
    names = tuple(dict.fromkeys(part for is_name, part in parts if is_name))
    return Template(text=text, names=names, _parts=parts)


def parse_filename(text: str, *, allowed: Collection[str]) -> Template:
    """Parse a template for one path segment: a shown name, which never has a `/`.

    Raises:
        TemplateError: as `parse_template`, or it has a `/`, or uses a built-in that brings one along
            (`{path}`, `{dir}`, `{folder}`).
    """
    template = parse_template(text, allowed=allowed)
    for found in _PARTS.finditer(text):
        if found["field"] in _WITH_SLASHES:
            raise TemplateError(
                f"{found[0]} cannot stand in a filename, because it brings slashes along",
                offset=found.start(),
                hint="use {file}, and captures for the segments before it",
            )
    if "/" in text:
        raise TemplateError(
            "a filename cannot have a slash", offset=text.index("/"), hint="write - or _ in its place"
        )
    return template


def _part(found: re.Match[str], allowed: Collection[str]) -> tuple[bool, str]:
    if found["text"] is not None:
        return False, found["text"].replace("{{", "{").replace("}}", "}")
    if found["stray"] is not None:
        message, hint = brace_fault(found["stray"])
        raise TemplateError(message, offset=found.start(), hint=hint)
    _check_name(found["field"], found.start(), allowed)
    return True, found["field"]


def _check_name(name: str, offset: int, allowed: Collection[str]) -> None:
    if not NAME.fullmatch(name):
        raise TemplateError(
            f"{{{name}}} is no plain name",
            offset=offset,
            hint="write the bare name of a capture or built-in, no attribute, index or format; {{ is a brace",
        )
    if name in allowed:
        return
    if name in AFTER_HASH:
        raise TemplateError(
            f"{{{name}}} cannot stand here", offset=offset, hint="it is known only in filename and after"
        )
    raise TemplateError(f"{{{name}}} is not known here", offset=offset, hint=did_you_mean(name, allowed))
