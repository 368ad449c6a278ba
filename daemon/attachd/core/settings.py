"""What rules.yaml says, as frozen values: defaults filled in, units converted, patterns compiled.

Durations are seconds, sizes are bytes, paths are absolute. `config` builds these; nobody changes them.
"""

from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum

from attachd.core.rules import Rule


class Existing(StrEnum):
    """What becomes of files that lay in a folder before its first start."""

    UPLOAD = "upload"
    IGNORE = "ignore"


class Watch(StrEnum):
    """How a folder is watched; `AUTO` decides by the file system."""

    AUTO = "auto"
    EVENTS = "events"
    SCAN = "scan"


class OnDoubt(StrEnum):
    """What to do when nobody can tell whether a call took effect."""

    HOLD = "hold"
    RETRY = "retry"


class LogFormat(StrEnum):
    """How log lines look; `AUTO` is console on a terminal and priorities under the journal."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Where a secret is to be had. The secret itself is read only by commands that need it.

    Attributes:
        source: `env`, `file`, `credential` or `plain`.
        value: the variable's name, the absolute path, the credential's name, or the secret itself.
        line: where it stands in rules.yaml, from 1; 0 where that is not known.
        column: as `line`.
    """

    source: str
    value: str
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)

    def __repr__(self) -> str:
        """Show where the secret comes from, never the secret."""
        return f"SecretRef({self.source}: {'***' if self.source == 'plain' else self.value})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Full jitter between `first` and `cap` seconds; given up after `give_up_after` seconds of waiting."""

    first: float = 2.0
    cap: float = 900.0
    give_up_after: float = 7 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSettings:
    """A configured account. `storage_hosts` None means any host."""

    name: str
    kind: str
    url: str
    token: SecretRef
    auth_scheme: str = "Bearer"
    workers: int = 8
    ca_file: str | None = None
    proxy: str | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    max_file_size: int = 5 * 1024**3
    retry: RetryPolicy = RetryPolicy()
    storage_hosts: tuple[str, ...] | None = None
    on_doubt: OnDoubt = OnDoubt.HOLD
    validate_upload: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    """A watched directory. `settle` and `rescan` None mean the default of the file system's kind."""

    path: str
    existing: Existing
    rules: tuple[Rule, ...]
    watch: Watch = Watch.AUTO
    settle: float | None = None
    rescan: float | None = None
    ignore: tuple[str, ...] = ()
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How the service itself behaves."""

    drain: float = 30.0
    log_level: str = "info"
    log_format: LogFormat = LogFormat.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of rules.yaml. `file` is the absolute path it was read from."""

    file: str
    ledger: str
    service: ServiceSettings
    timezone: tzinfo | None
    destinations: dict[str, DestinationSettings]
    folders: tuple[FolderSettings, ...]
