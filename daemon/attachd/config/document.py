"""The shape of rules.yaml as pydantic models: which keys there are and what kind of value each takes.

Every field is optional here and `required` names those that are not, so that a document with mistakes can
still be looked at as a whole. What one key means for another is decided in `build`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from attachd.config.fields import (
    TABLE_OR_TEXT,
    Duration,
    Identifier,
    Mount,
    Name,
    Paths,
    PathText,
    Size,
    Text,
    Texts,
    Version,
    Whole,
)


class Part(BaseModel):
    """A mapping with known keys.

    Attributes:
        required: keys that must be there; reported by `shape`.
        one_of: keys of which exactly one must be there; reported where the settings are built.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, populate_by_name=False
    )
    required: ClassVar[tuple[str, ...]] = ()
    one_of: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the JSON Schema which keys must be there."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.required:
            schema["required"] = list(cls.required)
        if cls.one_of:
            schema["oneOf"] = [{"required": [key]} for key in cls.one_of]
        return schema

    @classmethod
    def keys(cls) -> dict[str, str]:
        """Give the keys as rules.yaml spells them, each with its field's name."""
        return {info.alias or name: name for name, info in cls.model_fields.items()}


class SecretTable(Part):
    """Where a secret is to be had: exactly one of the three."""

    one_of = ("env", "file", "credential")
    env: Identifier | None = Field(default=None, description="name of an environment variable")
    file: PathText | None = Field(default=None, description="path of a file that holds nothing else")
    credential: Name | None = Field(
        default=None, description="name of a file in $CREDENTIALS_DIRECTORY (systemd)"
    )


class EnvTable(Part):
    """A value from the environment."""

    required = ("env",)
    env: Identifier | None = Field(default=None, description="name of an environment variable")
    default: Text | None = Field(default=None, description="taken where the variable is not set")


Secret = Annotated[Annotated[Text, Tag("text")] | Annotated[SecretTable, Tag("table")], TABLE_OR_TEXT]
EnvText = Annotated[Annotated[Text, Tag("text")] | Annotated[EnvTable, Tag("table")], TABLE_OR_TEXT]


class Log(Part):
    """How log lines look and how many there are."""

    level: Literal["debug", "info", "warning", "error"] | None = Field(
        default=None, description="default: info"
    )
    format: Literal["auto", "console", "json"] | None = Field(
        default=None, description="auto: console on a terminal, priorities under journald"
    )


class Service(Part):
    """How the service itself behaves."""

    status: Text | None = Field(default=None, description="HOST:PORT of the status page and metrics")
    status_token: Secret | None = Field(default=None, description="required where the host is not loopback")
    drain: Duration | None = Field(
        default=None, description="how long a stop waits for transfers; default: 30s"
    )
    log: Log | None = None


class OAuth(Part):
    """OAuth client credentials."""

    required = ("token_url", "client_id", "client_secret")
    token_url: Text | None = Field(default=None, description="where tokens are given out; https")
    client_id: EnvText | None = None
    client_secret: Secret | None = None
    extra: dict[str, str] | None = Field(default=None, description="more form fields, such as audience")


class Timeouts(Part):
    """Of one remote call."""

    connect: Duration | None = Field(default=None, description="default: 10s")
    read: Duration | None = Field(
        default=None, description="without a byte from the other side; default: 60s"
    )


class Limits(Part):
    """What a destination is spared."""

    max_file_size: Size | None = Field(default=None, description="larger files are held; default: 5 GiB")
    requests_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    bandwidth: Size | None = Field(default=None, description="per second")


class Retry(Part):
    """How passing trouble is met."""

    first: Duration | None = Field(default=None, description="longest first delay; default: 2s")
    cap: Duration | None = Field(default=None, description="longest delay; default: 15m")
    give_up_after: Duration | None = Field(default=None, description="then a delivery is held; default: 7d")


class Doubt(Part):
    """The query that lists the attachments of an entity, to settle doubt."""

    required = ("query", "rows")
    query: Text | None = Field(default=None, description="declares $entityId; may declare $s3Key, $after")
    rows: Text | None = Field(default=None, description="JMESPath over the answer, to the attachments")
    key: Text | None = Field(
        default=None, description="JMESPath over one, to its storage key; default: s3Key"
    )
    id: Text | None = Field(default=None, description="JMESPath over one, to its id; default: id")
    page: Text | None = Field(
        default=None, description="JMESPath over the answer, to hasNextPage and endCursor"
    )


class Destination(Part):
    """A configured account."""

    required = ("kind", "url")
    one_of = ("token", "oauth")
    kind: Literal["ion", "glue"] | None = Field(default=None, description="ion or glue")
    url: EnvText | None = Field(default=None, description="GraphQL address; https, except on loopback")
    token: Secret | None = Field(default=None, description="API token; one of token and oauth")
    oauth: OAuth | None = None
    auth_scheme: Literal["Bearer", "Token", ""] | None = Field(default=None, description="default: Bearer")
    workers: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="deliveries under way at once; default: 8"
    )
    ca_file: PathText | None = Field(default=None, description="certificates to trust, PEM")
    proxy: Text | None = Field(default=None, description="http://HOST:PORT; default: from the environment")
    timeouts: Timeouts | None = None
    limits: Limits | None = None
    retry: Retry | None = None
    storage_hosts: list[Text] | None = Field(
        default=None, description="hosts that files may be sent to; default: any"
    )
    on_doubt: Literal["hold", "retry"] | None = Field(
        default=None, description="when nobody can tell whether a file was attached; default: hold"
    )
    doubt: Doubt | None = None
    validate_upload: bool | None = Field(default=None, description="ION checks what arrived; default: true")


class Query(Part):
    """One query of a lookup."""

    required = ("query", "rows")
    query: Text | None = None
    variables: dict[str, Text] | None = Field(default=None, description="templates")
    rows: Text | None = Field(default=None, description="JMESPath over the answer")
    where: dict[str, Text] | None = Field(
        default=None, description="JMESPath: template; plain equality as text"
    )
    give: dict[Identifier, Text] | None = Field(
        default=None, description="name: JMESPath; the last query gives entity"
    )


class Target(Part):
    """What a file is attached to."""

    run_step: Text | None = None
    run: Text | None = None
    procedure: Text | None = None
    step: Text | None = None
    part: Text | None = None
    run_step_field: Text | None = None
    entity: Text | None = Field(default=None, description="an entity id as it is")
    lookup: Text | None = Field(default=None, description="a name in lookups")
    message: Text | None = Field(
        default=None, description="Glue: text of the message, markdown; without it only the file is created"
    )
    reply_to: Text | None = Field(default=None, description="Glue: id of the message that is quoted")
    thread: Text | None = Field(default=None, description="Glue: id of the thread the message goes to")
    recipients: Texts | None = Field(
        default=None, description="Glue: ids of users, groups or the workspace, instead of thread"
    )
    subject: Text | None = Field(default=None, description="Glue: of a new thread with the recipients")


class Move(Part):
    """Move the file once it is attached."""

    required = ("move",)
    move: Text | None = Field(
        default=None, description="template of the new path; relative: from the directory of rules.yaml"
    )


class Complete(Part):
    """What has to be true, beside `settle`, before a file is taken as whole."""

    whole: Whole | None = Field(
        default=None, description="auto: end marks of JPEG, PNG, PDF and ZIP are looked for"
    )
    marker: Text | None = Field(default=None, description="template of a sibling that has to exist")
    min_size: Size | None = None
    within: Duration | None = Field(default=None, description="then it is parked")


class Example(Part):
    """A path and what the rule should make of it."""

    required = ("path",)
    path: Text | None = Field(default=None, description="relative to the folder")
    target: dict[str, Texts] | None = None
    filename: Text | None = None
    match: bool | None = Field(default=None, description="false: the rule does not take it")


class Rule(Part):
    """What turns a path into a target."""

    required = ("name", "to", "target")
    one_of = ("match", "regex")
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, description="unique in the whole file"
    )
    match: Texts | None = Field(default=None, description="pattern of the whole relative path, or several")
    regex: Text | None = Field(
        default=None, description="regular expression with named groups, instead of match"
    )
    to: Text | None = Field(default=None, description="a destination's name")
    target: Target | None = Field(default=None, description="what the file is attached to")
    filename: Text | None = Field(default=None, description="shown name at the destination; default: {file}")
    continue_: bool | None = Field(
        default=None, alias="continue", description="later rules may match as well"
    )
    after: (
        Annotated[
            Annotated[Literal["keep", "delete"], Tag("text")] | Annotated[Move, Tag("table")], TABLE_OR_TEXT
        ]
        | None
    ) = Field(default=None, description="what becomes of the file once it is attached; default: keep")
    on_duplicate: Literal["skip", "upload"] | None = Field(default=None, description="default: skip")
    on_change: Literal["upload", "ignore"] | None = Field(default=None, description="default: upload")
    max_versions: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="of one path; default: 5"
    )
    complete: Complete | None = None
    wait: Duration | None = Field(
        default=None, description="how long a target that is not there yet is looked for"
    )
    examples: list[Example] | None = Field(default=None, description="tried by check and at start")


class Folder(Part):
    """A watched directory, or several with the same rules."""

    required = ("path", "existing", "rules")
    path: Paths | None = Field(default=None, description="a directory or a list of them")
    existing: Literal["upload", "ignore"] | None = Field(
        default=None, description="what becomes of files that lay there before the first start"
    )
    watch: Literal["auto", "events", "scan"] | None = Field(default=None, description="default: auto")
    settle: Duration | None = Field(default=None, description="unchanged this long; default: 2s, network 30s")
    rescan: Duration | None = Field(default=None, description="default: 5m with events, 10s without")
    ignore: list[Text] | None = Field(default=None, description="gitignore patterns")
    require_mount: Mount | None = Field(
        default=None, description="out while nothing is mounted; default: auto, once it was a share"
    )
    case_sensitive: bool | None = Field(default=None, description="for literals in patterns; default: false")
    rules: Annotated[list[Rule], Field(min_length=1)] | None = Field(
        default=None, description="first match wins"
    )


class Document(Part):
    """All of rules.yaml."""

    required = ("version", "destinations", "folders")
    version: Version | None = Field(default=None, description="always 1")
    ledger: PathText | None = Field(default=None, description="path of the ledger, on a local disk")
    keep: Duration | None = Field(
        default=None, description="thins the history of what ended longer ago; default: all of it is kept"
    )
    timezone: Text | None = Field(default=None, description="such as Europe/Berlin; default: the machine's")
    service: Service | None = None
    destinations: Annotated[dict[Name, Destination], Field(min_length=1)] | None = Field(
        default=None, description="the accounts that files are attached at, by name"
    )
    types: dict[Identifier, Text] | None = Field(default=None, description="name: regular expression")
    lookups: dict[Name, Annotated[list[Query], Field(min_length=1)]] | None = None
    folders: Annotated[list[Folder], Field(min_length=1)] | None = Field(
        default=None, description="the directories that are watched"
    )
