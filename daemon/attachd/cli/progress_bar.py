"""The progress of `run --once` on a terminal; in a pipe there are only log lines."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from attachd.status.progress import ATTACHED, NEEDS_YOU, NOT_NEEDED, ON_ITS_WAY, Progress, tally

Show = Callable[[Progress], None]


@contextmanager
def progress_bar(before: Mapping[str, int]) -> Iterator[Show | None]:
    """Show a bar on standard error while the context lasts, log lines above it; None where it is no terminal.

    `before` is the tally at the start: what was attached earlier does not count. The callback may be called
    from any thread.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - 80 ms that a pipe need not pay
    from rich.progress import BarColumn, SpinnerColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (SpinnerColumn(), BarColumn(bar_width=30), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("looking at the folders", total=None)

        def show(progress: Progress) -> None:
            finished, total, words = measured(progress, before)
            bar.update(task, completed=finished, total=total or None, description=words)

        yield show


def measured(progress: Progress, before: Mapping[str, int]) -> tuple[int, int, str]:
    """Give how many files have come to an end, of how many, and that in words."""
    now = tally(progress.states)
    attached = max(0, now[ATTACHED] - before[ATTACHED])
    finished = attached + now[NEEDS_YOU] + max(0, now[NOT_NEEDED] - before[NOT_NEEDED])
    parts = [f"{attached} attached", f"{now[ON_ITS_WAY]} on its way"]
    if now[NEEDS_YOU]:
        parts.append(f"{now[NEEDS_YOU]} needs you")
    if progress.settling:
        parts.append(f"{progress.settling} settling")
    if progress.scanning:
        parts.append("scanning")
    return finished, finished + now[ON_ITS_WAY] + progress.settling, ", ".join(parts)
