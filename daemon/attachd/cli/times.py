"""Times and durations as people type them on the command line; callbacks of click's options."""

from datetime import datetime, timedelta

import click

from attachd.config.units import parse_duration


def duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """Give the seconds of a duration such as `500ms`, `2s`, `5m`, `1h` or `7d`.

    Raises:
        click.BadParameter: it is none.
    """
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no duration: it {error}") from error


def since(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """Give the moment that a person means by a date, a date and time, or a duration back from now.

    Raises:
        click.BadParameter: it is none of these.
    """
    if text is None:
        return None
    try:
        return read_since(text, datetime.now().astimezone())
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time: write 2026-11-21, 2026-11-21T08:30, 2026-11-21T08:30Z, or how long ago,"
            " as 2h or 7d"
        ) from error


def read_since(text: str, now: datetime) -> datetime:
    """Read an ISO 8601 date or time (without a zone: the machine's), or a duration back from `now`.

    Raises:
        ValueError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now - timedelta(seconds=parse_duration(text))
    return moment.astimezone()
