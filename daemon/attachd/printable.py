"""What must not be shown as it is: names of files, which come from anybody, and secrets.

Imports next to nothing, as every command needs it.
"""

from threading import Lock

_MOST_HIDDEN = 100
_SHORTEST_HIDDEN = 6
_hidden: dict[str, None] = {}
_hiding = Lock()


def hide(secret: str) -> None:
    """Have a secret that is in use blotted out of everything that is logged, whatever it stands in.

    The last hundred are remembered, in this process: tokens are lent for minutes.
    """
    if len(secret) < _SHORTEST_HIDDEN or secret in _hidden:
        return
    with _hiding:
        _hidden[secret] = None
        if len(_hidden) > _MOST_HIDDEN:
            del _hidden[next(iter(_hidden))]


def without_secrets(text: str) -> str:
    """Blot out every secret that `hide` was told of."""
    with _hiding:
        secrets = sorted(_hidden, key=len, reverse=True)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def safe_text(text: str) -> str:
    r"""Make a text safe for one line: whatever does not print stands as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    Besides control characters these are the marks that reorder or hide text (Unicode categories Cc, Cf, Cs,
    Zl, Zp and every space but the plain one), so that a name cannot look like another one.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's stand-in for one byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
