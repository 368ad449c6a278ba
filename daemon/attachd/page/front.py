"""The first page: what `attachd status` shows, and the last problems. Nothing on it does anything.

Names of files are hostile data: everything passes `shown`, and Jinja2 escapes whatever a template puts in.
"""

import base64
import hashlib
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from attachd.core.paths import escape
from attachd.errors import LedgerError
from attachd.page.guard import policy
from attachd.page.health import broken, shown
from attachd.page.source import Source
from attachd.status.progress import tally
from attachd.status.showing import DASH, moment_text, target_text

REFRESH_SECONDS = 10
LAST = 20
"""How many problems are listed."""

STYLE = files("attachd.page").joinpath("templates/style.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = policy(f"'sha256-{_HASH}'")
"""What a browser may load for it: its own style, by hash, and nothing else."""

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def front(source: Source) -> tuple[str, bool]:
    """Give the page, and whether it could be made in full: the ledger may not be readable."""
    now = datetime.now(UTC)
    try:
        status, problems = source.status(), source.problems(LAST + 1)
    except LedgerError as error:
        page = _TEMPLATE.render(status=None, trouble=f"{error.message}; {error.hint}".rstrip("; "), at=now)
        return page, False
    inside = source.now()
    page = _TEMPLATE.render(
        status=status,
        at=now,
        trouble="; ".join([*broken(inside), inside.ledger_trouble]).strip("; "),
        problems=problems[:LAST],
        more=len(problems) > LAST,
    )
    return page, True


def ago(moment: datetime | str | None, now: datetime) -> str:
    """Say how long ago something was, in its largest unit; "-" where it never was."""
    if moment is None:
        return DASH
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    seconds = int((now - at).total_seconds())
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("attachd.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    made.filters |= {"ago": ago, "clock": moment_text, "tally": tally, "path": escape}
    # The only text that is not escaped is our own file.
    style = Markup(STYLE)  # noqa: S704
    made.globals |= {"style": style, "refresh": REFRESH_SECONDS, "target_text": target_text}
    return made


_TEMPLATE = _environment().get_template("front.html")
