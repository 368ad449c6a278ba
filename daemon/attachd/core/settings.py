"""What rules.yaml says, as frozen values: defaults filled in, units converted, patterns compiled.

Durations are seconds, sizes are bytes, paths are absolute. `config` builds these; nobody changes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum

from attachd.core.lookups import Expression, Lookup, compile_expression
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


class RequireMount(StrEnum):
    """Whether a folder is out while nothing is mounted there; `AUTO` goes by what was seen before."""

    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


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
class OAuthSettings:
    """Client credentials (RFC 6749, section 4.4). `extra` are further form fields, such as `audience`."""

    token_url: str
    client_id: str
    client_secret: SecretRef
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Full jitter between `first` and `cap` seconds; given up after `give_up_after` seconds of waiting."""

    first: float = 2.0
    cap: float = 900.0
    give_up_after: float = 7 * 86400.0


_KEY = compile_expression("s3Key")
_ID = compile_expression("id")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtQuery:
    """A query that lists the attachments of an entity, to settle doubt.

    Attributes:
        query: may declare `$entityId`, `$s3Key` and, to ask for further pages, `$after`.
        rows: JMESPath over the answer, to the list of attachments.
        key: JMESPath over one attachment, to its storage key.
        id: JMESPath over one attachment, to its id.
        page: JMESPath over the answer, to `{hasNextPage, endCursor}`; None where there is none.
        whole: without `page`: one answer is the whole list.
    """

    query: str
    rows: Expression
    key: Expression = _KEY
    id: Expression = _ID
    page: Expression | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSettings:
    """A configured account. `storage_hosts` None means any host.

    It has either a `token` or an `oauth`. `requests_per_second` counts calls of the API alone, `bandwidth` is
    bytes per second to storage, over all transfers; None for no limit.
    `lookups` are those of the rules that lead here, by name; `waits` the seconds for which a rule's missing
    target is looked for again, by rule, where it is at all.
    """

    name: str
    kind: str
    url: str
    token: SecretRef | None = None
    oauth: OAuthSettings | None = None
    auth_scheme: str = "Bearer"
    workers: int = 8
    ca_file: str | None = None
    proxy: str | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    max_file_size: int = 5 * 1024**3
    requests_per_second: float | None = None
    bandwidth: int | None = None
    retry: RetryPolicy = RetryPolicy()
    storage_hosts: tuple[str, ...] | None = None
    on_doubt: OnDoubt = OnDoubt.HOLD
    doubt: DoubtQuery | None = None
    validate_upload: bool = True
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    waits: Mapping[str, float] = field(default_factory=dict)


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
    require_mount: RequireMount = RequireMount.AUTO
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Where the status page and metrics are, and which secret is asked for there.

    Attributes:
        host: a name or an address; an IPv6 one without its brackets.
        port: 0 for any that is free.
        token: None where everybody who gets there may look.
    """

    host: str
    port: int
    token: SecretRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How the service itself behaves; `status` None: no page."""

    drain: float = 30.0
    log_level: str = "info"
    log_format: LogFormat = LogFormat.AUTO
    status: StatusSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of rules.yaml. `file` is the absolute path it was read from.

    `keep`: for how many seconds the whole history of what has ended stays in the ledger; None: for ever.
    """

    file: str
    ledger: str
    service: ServiceSettings
    timezone: tzinfo | None
    destinations: dict[str, DestinationSettings]
    folders: tuple[FolderSettings, ...]
    keep: float | None = None
