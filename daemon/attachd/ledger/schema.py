"""The tables, their rules and the ordered list of migrations. Literals: a released migration never changes.

The words in the CHECKs are those of `model.State` and `model.Standing`; a test compares them. Times are
ISO 8601 in UTC with milliseconds and `Z`, so that they sort as text. Names and paths stand in the escaped
form of `core.paths`. SQLite's STRICT tables (3.37, https://www.sqlite.org/stricttables.html) refuse values
of a wrong type.
"""

from sqlite_utils import Database, Migrations

from attachd.ledger.after_tables import AFTER_TABLES
from attachd.ledger.lost_time import LOST_TIME_TABLE
from attachd.ledger.thinning import THINNING_TABLE
from attachd.ledger.triggers import TRIGGERS

MIGRATIONS = Migrations("attachd")
MIGRATION_NAMES = frozenset(
    {"0001_first_tables", "0002_after", "0002_looked", "0003_tenants", "0004_lost_time", "0005_thinning"}
)
"""What this version knows; a ledger with another name in it is newer."""

_TABLES = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        started_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE folders (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        filesystem TEXT NOT NULL,
        first_started_at TEXT NOT NULL,
        first_scan_done INTEGER NOT NULL DEFAULT 0 CHECK (first_scan_done IN (0, 1))
    ) STRICT
    """,
    """
    CREATE TABLE directories (
        id INTEGER PRIMARY KEY,
        folder_id INTEGER NOT NULL REFERENCES folders (id),
        path TEXT NOT NULL,
        UNIQUE (folder_id, path)
    ) STRICT
    """,
    """
    CREATE TABLE files (
        directory_id INTEGER NOT NULL REFERENCES directories (id),
        name TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER NOT NULL,
        standing TEXT NOT NULL CHECK (standing IN ('matched', 'unmatched', 'parked', 'existing', 'gone')),
        sha256 TEXT,
        error_kind TEXT,
        error_message TEXT,
        error_hint TEXT,
        first_seen TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        PRIMARY KEY (directory_id, name, version),
        CONSTRAINT unmatched_and_parked_have_a_reason
            CHECK (standing NOT IN ('unmatched', 'parked') OR error_kind IS NOT NULL)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY,
        folder_id INTEGER NOT NULL REFERENCES folders (id),
        directory_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        rule TEXT NOT NULL,
        destination TEXT NOT NULL,
        target TEXT NOT NULL,
        filename TEXT NOT NULL,
        dedupe INTEGER NOT NULL CHECK (dedupe IN (0, 1)),
        bytes_key TEXT,
        state TEXT NOT NULL CHECK (state IN ('ready', 'active', 'waiting', 'doubtful', 'held', 'done',
            'duplicate', 'dismissed', 'superseded', 'vanished')),
        run TEXT,
        call TEXT,
        attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        waited REAL NOT NULL DEFAULT 0.0 CHECK (waited >= 0),
        next_attempt_at TEXT,
        receipts TEXT NOT NULL DEFAULT '{}',
        intent TEXT,
        intent_at TEXT,
        elder_id INTEGER REFERENCES deliveries (id),
        remote_id TEXT,
        error_kind TEXT,
        error_message TEXT,
        error_hint TEXT,
        detail TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        FOREIGN KEY (directory_id, name, version) REFERENCES files (directory_id, name, version),
        CONSTRAINT active_has_a_run CHECK ((state = 'active') = (run IS NOT NULL)),
        CONSTRAINT done_has_a_remote_id CHECK (state <> 'done' OR remote_id IS NOT NULL),
        CONSTRAINT waiting_knows_for_what
            CHECK (state <> 'waiting' OR next_attempt_at IS NOT NULL OR elder_id IS NOT NULL),
        CONSTRAINT duplicate_has_an_elder CHECK (state <> 'duplicate' OR elder_id IS NOT NULL),
        CONSTRAINT trouble_has_an_error
            CHECK (state NOT IN ('waiting', 'doubtful', 'held', 'vanished') OR error_kind IS NOT NULL),
        CONSTRAINT doubtful_has_an_intent CHECK (state <> 'doubtful' OR intent IS NOT NULL),
        CONSTRAINT open_intent_is_never_repeated_or_dropped CHECK (intent IS NULL
            OR state NOT IN ('ready', 'waiting', 'done', 'duplicate', 'superseded', 'vanished')),
        CONSTRAINT intent_has_a_time CHECK ((intent IS NULL) = (intent_at IS NULL)),
        CONSTRAINT error_has_a_message CHECK ((error_kind IS NULL) = (error_message IS NULL))
    ) STRICT
    """,
    """
    CREATE TABLE history (
        id INTEGER PRIMARY KEY,
        delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
        at TEXT NOT NULL,
        from_state TEXT,
        to_state TEXT NOT NULL,
        call TEXT,
        detail TEXT NOT NULL,
        by TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE counts (
        folder_id INTEGER NOT NULL REFERENCES folders (id),
        destination TEXT NOT NULL,
        state TEXT NOT NULL,
        count INTEGER NOT NULL CHECK (count >= 0),
        PRIMARY KEY (folder_id, destination, state)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE facts (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

# Partial indexes hold only what is under way, so that claims stay as fast in a ledger of years.
_INDEXES = (
    """
    CREATE INDEX files_without_delivery ON files (standing, updated_at)
        WHERE standing IN ('unmatched', 'parked', 'existing')
    """,
    "CREATE INDEX deliveries_of_file ON deliveries (directory_id, name, version)",
    "CREATE INDEX deliveries_by_state ON deliveries (state, updated_at, id)",
    """
    CREATE INDEX deliveries_ready ON deliveries (destination, updated_at, id, folder_id, state)
        WHERE state = 'ready'
    """,
    """
    CREATE INDEX deliveries_due ON deliveries (destination, next_attempt_at)
        WHERE state = 'waiting' AND next_attempt_at IS NOT NULL
    """,
    """
    CREATE INDEX deliveries_undelivered ON deliveries (folder_id, created_at, id)
        WHERE state IN ('ready', 'active', 'waiting', 'doubtful', 'held')
    """,
    """
    CREATE INDEX deliveries_with_bytes ON deliveries (bytes_key, destination, target, state)
        WHERE bytes_key IS NOT NULL
    """,
    "CREATE INDEX deliveries_behind ON deliveries (elder_id, state) WHERE elder_id IS NOT NULL",
    "CREATE INDEX history_of_delivery ON history (delivery_id)",
)

_VIEWS = (
    """
    CREATE VIEW attachments AS
    SELECT d.id, o.path AS folder, CASE i.path WHEN '' THEN d.name ELSE i.path || '/' || d.name END AS path,
        d.version, d.rule, d.destination, d.target, d.filename, d.state, d.call, d.attempts, d.remote_id,
        d.error_kind, d.error_message, d.error_hint, d.detail, f.size, f.sha256, f.first_seen, d.updated_at,
        d.next_attempt_at
    FROM deliveries d
    JOIN folders o ON o.id = d.folder_id
    JOIN directories i ON i.id = d.directory_id
    JOIN files f ON f.directory_id = d.directory_id AND f.name = d.name AND f.version = d.version
    """,
)


@MIGRATIONS(name="0001_first_tables")
def _first_tables(database: Database) -> None:
    for statement in (*_TABLES, *_INDEXES, *TRIGGERS, *_VIEWS):
        database.execute(statement)


@MIGRATIONS(name="0002_after")
def _after(database: Database) -> None:
    for statement in AFTER_TABLES:
        database.execute(statement)


@MIGRATIONS(name="0002_looked")
def _looked(database: Database) -> None:
    """Add the clock of a rule's `wait`: seconds spent on looking for a target that is not there yet."""
    database.execute("ALTER TABLE deliveries ADD COLUMN looked REAL NOT NULL DEFAULT 0.0 CHECK (looked >= 0)")


@MIGRATIONS(name="0003_tenants")
def _tenants(database: Database) -> None:
    """Add what each destination's name is bound to; no organization where the API does not tell it."""
    database.execute(
        """
        CREATE TABLE tenants (
            destination TEXT PRIMARY KEY,
            host TEXT NOT NULL,
            organization TEXT,
            bound_at TEXT NOT NULL
        ) STRICT
        """
    )


@MIGRATIONS(name="0004_lost_time")
def _lost_time(database: Database) -> None:
    """Add what a ledger that was put back from a copy cannot know."""
    database.execute(LOST_TIME_TABLE)


@MIGRATIONS(name="0005_thinning")
def _thinning(database: Database) -> None:
    """Add how far `keep` has come."""
    database.execute(THINNING_TABLE)
