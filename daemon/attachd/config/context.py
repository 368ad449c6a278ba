"""What every part of building the settings needs to know beside the document."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attachd.config.document import EnvTable
from attachd.config.report import Report
from attachd.config.search import absolute
from attachd.config.wording import Location

UNSET_URL = "https://unset.invalid/"
"""Stands for an address that only the service's environment knows; `.invalid` never resolves (RFC 2606)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where the file lies and what surrounds it.

    Attributes:
        report: receives the problems.
        directory: of the file; relative paths count from it.
        environ: the environment.
        resolve: whether what stands outside the file (variables, certificates) has to be there.
        world_readable: whether everybody on this machine may read the file.
    """

    report: Report
    directory: Path
    environ: Mapping[str, str]
    resolve: bool
    world_readable: bool

    def absolute(self, path: str) -> str:
        """Give a path of the file as an absolute one."""
        return str(absolute(self.directory / path))

    def outside(self, at: Location, what: str, hint: str) -> None:
        """Note that something outside the file is not there: an error only for commands that need it."""
        if self.resolve:
            self.report.error(at, what, hint)
        else:
            self.report.warn(at, what, hint)

    def from_environment(self, value: str | EnvTable, at: Location, instead: str) -> str:
        """Give a value marked ¹; `instead` where it is not set."""
        if isinstance(value, str):
            return value
        if value.env is None:
            return instead
        found = self.environ.get(value.env) or value.default
        if found is None:
            self.outside(at, f"environment variable {value.env} is not set", "set it, or add `default`")
        return found or instead
