"""Follows the links in a path, but never on a network file system, which may cease to answer."""

import os
from pathlib import Path

from attachd.core.mounts import TABLE, place_of


def real_path(path: str) -> str:
    """Give an absolute path without links, as realpath(3); from a network mount on it stays as it is."""
    table = Path(TABLE).read_text(encoding="utf-8", errors="surrogateescape")
    return place_of(path, table, _link).path


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - a path in fsdecode form
    except OSError:  # no link, or nothing is there
        return None
