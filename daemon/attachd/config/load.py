"""rules.yaml → `Settings`, or everything that is wrong with it at once."""

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from attachd.config.build import build
from attachd.config.context import Context
from attachd.config.report import Report
from attachd.config.search import absolute
from attachd.config.shape import shape
from attachd.config.source import NotYaml, compose, read
from attachd.config.tree import plain
from attachd.core.settings import Settings
from attachd.errors import ConfigError, Problem


def load(
    path: Path, environ: Mapping[str, str] = os.environ, *, resolve: bool = True
) -> tuple[Settings, list[Problem]]:
    """Read and validate the file and run its examples.

    Args:
        path: of the file.
        environ: the environment.
        resolve: False for commands that only need ledger, folders and rules: what lies outside the file (an
            unset variable for `url`, a missing `ca_file`) is a warning then, and such a url a placeholder.

    Returns:
        The settings, and the warnings.

    Raises:
        ConfigError: with all problems, warnings among them.
        NoConfig: the file cannot be read.
    """
    file = absolute(path)
    try:
        source = read(file)
        node = compose(source.text)
    except NotYaml as error:
        raise ConfigError(str(file), [error.problem]) from None
    report, ledger = Report(), None
    values = plain(node, source.text, report)
    if values or not report.has_errors():
        context = Context(
            report=report,
            directory=file.parent,
            environ=environ,
            resolve=resolve,
            world_readable=source.world_readable,
        )
        settings = _settings(values, file, context)
        if not report.has_errors():
            return settings, sorted(report.problems)
        ledger = None if report.has_error_at(("ledger",)) else settings.ledger
    raise ConfigError(str(file), report.problems, ledger=ledger)


def format_problems(problems: ConfigError | Sequence[Problem], file: str = "") -> list[str]:
    """Give one line for each problem: `FILE:LINE:COL: path: what; hint`.

    Args:
        problems: an error, which knows its file, or a list.
        file: the file's path, for a list.
    """
    if isinstance(problems, ConfigError):
        file, problems = problems.file, problems.problems
    return [_line(problem, file) for problem in problems]


def _settings(values: dict[str, object], file: Path, context: Context) -> Settings:
    document = shape(deepcopy(values), context.report)
    return build(document, file, context)


def _line(problem: Problem, file: str) -> str:
    place = f"{file}:{problem.line}:{problem.column}: "
    path = f"{problem.path}: " if problem.path else ""
    kind = "warning: " if problem.warning else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    return f"{place}{path}{kind}{problem.what}{hint}"
