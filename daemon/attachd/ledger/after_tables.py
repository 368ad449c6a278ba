"""The table of after-actions and the trigger that makes them due: the migration `0002_after`. Literals.

The words in the CHECKs are those of `core.afters`; a test compares them. `target` and `chosen` are absolute
paths in the escaped form of `core.paths`. `due_at` is set while there is something to do: by the trigger when
the last delivery of the file version is attached, and later with each try.
"""

from typing import Final

_TABLE = """
    CREATE TABLE after_actions (
        id INTEGER PRIMARY KEY,
        folder_id INTEGER NOT NULL REFERENCES folders (id),
        directory_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        rule TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('delete', 'move')),
        target TEXT,
        chosen TEXT,
        held_as TEXT,
        state TEXT NOT NULL CHECK (state IN ('planned', 'taken', 'done', 'failed', 'skipped')),
        detail TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        due_at TEXT,
        updated_at TEXT NOT NULL,
        UNIQUE (directory_id, name, version),
        FOREIGN KEY (directory_id, name, version) REFERENCES files (directory_id, name, version)
            ON DELETE CASCADE,
        CONSTRAINT move_has_a_target CHECK ((action = 'move') = (target IS NOT NULL)),
        CONSTRAINT taken_has_its_names
            CHECK (state <> 'taken' OR (held_as IS NOT NULL AND (action = 'delete' OR chosen IS NOT NULL))),
        CONSTRAINT only_what_is_to_be_done_is_due CHECK (due_at IS NULL OR state IN ('planned', 'taken')),
        CONSTRAINT taken_is_due CHECK (state <> 'taken' OR due_at IS NOT NULL)
    ) STRICT
"""

_DUE = "CREATE INDEX after_actions_due ON after_actions (due_at, folder_id) WHERE due_at IS NOT NULL"

_FAILED = "CREATE INDEX after_actions_failed ON after_actions (id) WHERE state = 'failed'"

_ATTACHED = """
    CREATE TRIGGER deliveries_attached AFTER UPDATE OF state ON deliveries
    WHEN NEW.state IN ('done', 'duplicate', 'superseded')
    BEGIN
        UPDATE after_actions SET due_at = NEW.updated_at
        WHERE directory_id = NEW.directory_id AND name = NEW.name AND version = NEW.version
        AND state = 'planned' AND due_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.directory_id = NEW.directory_id
            AND d.name = NEW.name AND d.version = NEW.version
            AND d.state NOT IN ('done', 'duplicate', 'superseded'))
        AND EXISTS (SELECT 1 FROM deliveries d WHERE d.directory_id = NEW.directory_id
            AND d.name = NEW.name AND d.version = NEW.version AND d.state IN ('done', 'duplicate'));
    END
"""

AFTER_TABLES: Final = (_TABLE, _DUE, _FAILED, _ATTACHED)
"""In the order in which the migration makes them."""
