r"""Names in messages: what a drop folder gives is shown as it is, never read as markdown or as anything else.

Escaped is what CommonMark 0.31 (spec.commonmark.org) and Glue's page on formatting (docs.glue.ai,
developers/graphql-api/message_formatting) give a meaning. What has one only where a line begins is escaped
where the value begins, since a template may put it there. A value stays on one line.
"""

import re
import unicodedata

_ANYWHERE = re.compile(r"[\\`*_\[\]()<>~|]|&(?=#?\w+;)")
_WHERE_A_LINE_BEGINS = re.compile(r"^([0-9]*)(?=\.(?:\s|$))|^(?=[#+=:-])")
_LINK_BY_ITSELF = re.compile(r"www(?=\.)|(?:https?|ftp|mailto|xmpp|glue)(?=:)|:(?=//)|@", re.IGNORECASE)
_SPACES_THAT_COUNT = re.compile(r"^ | $| (?= )|(?<= ) ")
_JOINERS = {"\u200c", "\u200d"}  # invisible, and part of many languages and emoji


def as_text(value: str) -> str:
    """Escape a value that is put into markdown.

    It never opens a link, heading, list, quote, code or emphasis. An `@`, and what a reader may make a link
    of by itself, gets an invisible word joiner (U+2060), so that nobody is mentioned; spaces that markdown
    would drop or take for indentation become no-break spaces.
    """
    text = _SPACES_THAT_COUNT.sub("\N{NO-BREAK SPACE}", as_line(value))
    text = _ANYWHERE.sub(r"\\\g<0>", text)
    text = _WHERE_A_LINE_BEGINS.sub(r"\1\\", text)
    return _LINK_BY_ITSELF.sub("\\g<0>\N{WORD JOINER}", text)


def as_line(value: str) -> str:
    r"""Show what is no text of one line (breaks, controls, marks of direction) by its code, as `\n`."""
    return value if value.isprintable() else "".join(_shown(character) for character in value)


def _shown(character: str) -> str:
    is_text = character.isprintable() or unicodedata.category(character) == "Zs" or character in _JOINERS
    return character if is_text else character.encode("unicode_escape").decode()
