"""Small pieces of text that problems are made of. Nothing here ever sees a secret."""

import difflib
from collections.abc import Iterable, Sequence

SECRET_KEYS = frozenset(
    {"token", "oauth", "client_secret", "status_token", "extra", "proxy", "url", "token_url"}
)
"""Keys whose values never appear in a message; whatever stands below them neither."""

_KNOWN_BELOW = SECRET_KEYS | {"env", "file", "credential", "default", "client_id"}
_LONGEST = 60

Location = tuple[str | int, ...]
"""Where in the document: keys and, in lists, positions counted from 0."""


def one_line(text: str) -> str:
    """Give text on one line, control characters as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable(text: str) -> str:
    """Give text on one line, control characters as escapes, clipped at 60 characters."""
    return one_line(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def quoted(text: str) -> str:
    """Give text as it is quoted inside a sentence."""
    return f"`{printable(text)}`"


def is_secret(location: Location) -> bool:
    """Say whether what stands at a location may be, or be mistaken for, a secret."""
    return any(part in SECRET_KEYS for part in location)


def spelled(location: Location) -> str:
    """Spell a location as people write it: `folders[0].rules[1].match`.

    Below a secret's key, a key that is not known may be the secret, written in the wrong place.
    """
    parts = (_spelled(part, hidden=is_secret(location[:index])) for index, part in enumerate(location))
    return "".join(parts).removeprefix(".")


def _spelled(part: str | int, *, hidden: bool) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if not part:
        return '.""'
    return ".…" if hidden and part not in _KNOWN_BELOW else f".{printable(part)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give "did you mean `x`?" for the nearest known word, "" where none is near."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def one_of(words: Iterable[str]) -> str:
    """Join words as `a`, `b` or `c`."""
    ticked = [f"`{word}`" if word else '`""`' for word in words]
    return ticked[0] if len(ticked) == 1 else f"{', '.join(ticked[:-1])} or {ticked[-1]}"


def listed(words: Sequence[str]) -> str:
    """Join words as `a`, `b`, `c`."""
    return ", ".join(f"`{word}`" for word in words)
