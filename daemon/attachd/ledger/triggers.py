"""The triggers: what must happen with every move of a delivery, and what must never happen. Literals.

`deliveries_illegal_move` is the table of `core.states`, word for word; a test compares them. History and
counts are written here and nowhere else, so that no statement, not even a stranger's, can forget them.
"""

_LEGAL_MOVES = """
    CREATE TRIGGER deliveries_illegal_move BEFORE UPDATE OF state ON deliveries
    WHEN NOT (
        (OLD.state = 'ready' AND NEW.state IN ('active', 'held', 'superseded', 'vanished'))
        OR (OLD.state = 'active' AND NEW.state IN ('done', 'doubtful', 'duplicate', 'held', 'ready',
            'superseded', 'vanished', 'waiting'))
        OR (OLD.state = 'waiting' AND NEW.state IN ('dismissed', 'duplicate', 'held', 'ready', 'superseded',
            'vanished'))
        OR (OLD.state = 'doubtful' AND NEW.state IN ('done', 'held', 'ready'))
        OR (OLD.state = 'held' AND NEW.state IN ('dismissed', 'done', 'doubtful', 'ready', 'superseded'))
        OR (OLD.state = 'dismissed' AND NEW.state IN ('ready'))
        OR (OLD.state = 'vanished' AND NEW.state IN ('dismissed'))
    )
    BEGIN
        SELECT RAISE(ABORT, 'a delivery in this state cannot go to that one');
    END
"""

_BIRTH = """
    CREATE TRIGGER deliveries_illegal_birth BEFORE INSERT ON deliveries WHEN NEW.state <> 'ready'
    BEGIN
        SELECT RAISE(ABORT, 'a delivery is born ready');
    END
"""

_NO_DELETE = """
    CREATE TRIGGER deliveries_stay BEFORE DELETE ON deliveries
    BEGIN
        SELECT RAISE(ABORT, 'a delivery is never deleted: dismiss it');
    END
"""

_BORN = """
    CREATE TRIGGER deliveries_born AFTER INSERT ON deliveries
    BEGIN
        INSERT INTO history (delivery_id, at, from_state, to_state, call, detail, by)
            VALUES (NEW.id, NEW.updated_at, NULL, NEW.state, NEW.call, NEW.detail, NEW.changed_by);
        INSERT INTO counts (folder_id, destination, state, count)
            VALUES (NEW.folder_id, NEW.destination, NEW.state, 1)
            ON CONFLICT DO UPDATE SET count = count + 1;
    END
"""

_MOVED = """
    CREATE TRIGGER deliveries_moved AFTER UPDATE OF state ON deliveries
    BEGIN
        INSERT INTO history (delivery_id, at, from_state, to_state, call, detail, by)
            VALUES (NEW.id, NEW.updated_at, OLD.state, NEW.state, NEW.call, NEW.detail, NEW.changed_by);
        UPDATE counts SET count = count - 1
            WHERE folder_id = OLD.folder_id AND destination = OLD.destination AND state = OLD.state;
        INSERT INTO counts (folder_id, destination, state, count)
            VALUES (NEW.folder_id, NEW.destination, NEW.state, 1)
            ON CONFLICT DO UPDATE SET count = count + 1;
    END
"""

_FILE_SEEN = """
    CREATE TRIGGER files_seen AFTER INSERT ON files
    WHEN NEW.standing IN ('unmatched', 'parked', 'existing')
    BEGIN
        INSERT INTO counts (folder_id, destination, state, count)
            SELECT folder_id, '', NEW.standing, 1 FROM directories WHERE id = NEW.directory_id
            ON CONFLICT DO UPDATE SET count = count + 1;
    END
"""

_FILE_LEFT_STANDING = """
    CREATE TRIGGER files_left_standing AFTER UPDATE OF standing ON files
    WHEN OLD.standing IN ('unmatched', 'parked', 'existing')
    BEGIN
        UPDATE counts SET count = count - 1
            WHERE folder_id = (SELECT folder_id FROM directories WHERE id = OLD.directory_id)
            AND destination = '' AND state = OLD.standing;
    END
"""

_FILE_TOOK_STANDING = """
    CREATE TRIGGER files_took_standing AFTER UPDATE OF standing ON files
    WHEN NEW.standing IN ('unmatched', 'parked', 'existing')
    BEGIN
        INSERT INTO counts (folder_id, destination, state, count)
            SELECT folder_id, '', NEW.standing, 1 FROM directories WHERE id = NEW.directory_id
            ON CONFLICT DO UPDATE SET count = count + 1;
    END
"""

_FILE_FORGOTTEN = """
    CREATE TRIGGER files_forgotten AFTER DELETE ON files
    WHEN OLD.standing IN ('unmatched', 'parked', 'existing')
    BEGIN
        UPDATE counts SET count = count - 1
            WHERE folder_id = (SELECT folder_id FROM directories WHERE id = OLD.directory_id)
            AND destination = '' AND state = OLD.standing;
    END
"""

TRIGGERS = (
    _LEGAL_MOVES,
    _BIRTH,
    _NO_DELETE,
    _BORN,
    _MOVED,
    _FILE_SEEN,
    _FILE_LEFT_STANDING,
    _FILE_TOOK_STANDING,
    _FILE_FORGOTTEN,
)
"""In the order in which the first migration makes them."""
