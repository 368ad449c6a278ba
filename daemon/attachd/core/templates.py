"""Templates of `target`, `filename` and `after`: captures and built-ins put into text, and nothing else.

What goes into a template are names from a drop folder, which anyone may have chosen, so this is substitution
only: no attribute, index, format or conversion. `{{` and `}}` stand for one brace each.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from attachd.core.markdown import as_line, as_text
from attachd.core.sentences import NAME, TemplateError, brace_fault, did_you_mean

__all__ = [
    "AFTER_HASH",
    "BETWEEN_IDS",
    "BUILT_INS",
    "Form",
    "Template",
    "TemplateError",
    "listed",
    "parse_filename",
    "parse_template",
]

BUILT_INS = frozenset(
    {"file", "stem", "ext", "path", "dir", "folder", "date", "file_date", "size", "host", "sha256"}
)
"""Names that every template may use and no capture may bear."""

AFTER_HASH = frozenset({"sha256"})
"""Built-ins that are known only once the file has been read: for `filename` and `after`, not for `target`."""

_WITH_SLASHES = frozenset({"path", "dir", "folder"})
_PARTS = re.compile(r"(?P<text>(?:[^{}]|\{\{|\}\})+)|\{(?P<field>[^{}]*)\}|(?P<stray>[{}])")


class Form(Enum):
    """What becomes of the values that are put in; the text of rules.yaml itself stays as it is."""

    PLAIN = "plain"  # as they are
    LINE = "line"  # shown on one line
    MARKDOWN = "markdown"  # shown on one line, without any meaning in markdown
    ID = "id"  # as they are, and refused where they are no id


_PUT: Mapping[Form, Callable[[str], str]] = {
    Form.PLAIN: str,
    Form.LINE: as_line,
    Form.MARKDOWN: as_text,
    Form.ID: str,
}
BETWEEN_IDS = ", "
"""Stands between the ids of a target that has several; no id has one of its characters."""

_ID = re.compile(r"[^\s,]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A parsed template.

    Attributes:
        text: as it stands in rules.yaml.
        names: the captures and built-ins it uses, each once, in order of first use.
        form: what becomes of their values.
    """

    text: str
    names: tuple[str, ...]
    form: Form = Form.PLAIN
    _parts: tuple[tuple[bool, str], ...] = field(repr=False, compare=False)

    @property
    def parts(self) -> tuple[tuple[bool, str], ...]:
        """Give its pieces in order: whether each is a name, and the name or the text."""
        return self._parts

    def render(self, values: Mapping[str, str]) -> str:
        """Put the values in. A name that has none gives "": a regex group that took no part in the match."""
        put = _PUT[self.form]
        return "".join(put(values.get(part, "")) if is_name else part for is_name, part in self._parts)

    def unfit(self, values: Mapping[str, str]) -> str | None:
        """Give the first name whose value cannot stand in an id: it is empty, or has a space or a comma."""
        if self.form is not Form.ID:
            return None
        return next((name for name in self.names if not _ID.fullmatch(values.get(name, ""))), None)


def listed(templates: Sequence[Template]) -> Template:
    """Make one template of several ids, which stand in it with a comma and a space between them."""
    parts = [part for template in templates for part in ((False, BETWEEN_IDS), *template._parts)]  # noqa: SLF001 - its own class
    return Template(
        text=BETWEEN_IDS.join(template.text for template in templates),
        names=tuple(dict.fromkeys(name for template in templates for name in template.names)),
        form=Form.ID,
        _parts=tuple(parts[1:]),
    )


def parse_template(text: str, *, allowed: Collection[str], form: Form = Form.PLAIN) -> Template:
    """Parse a template that may use the names in `allowed`.

    Raises:
        TemplateError: a brace without its partner, something that is no plain name, or an unknown name.
    """
    parts = tuple(_part(found, allowed) for found in _PARTS.finditer(text))
    names = tuple(dict.fromkeys(part for is_name, part in parts if is_name))
    return Template(text=text, names=names, form=form, _parts=parts)


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
