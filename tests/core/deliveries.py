from datetime import UTC, datetime

from attachd.model import Delivery, Signs, State

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def delivery(**changes):
    """Make a delivery that a worker has; what a test does not say is of no account to it."""
    values = {
        "id": 1,
        "folder_id": 1,
        "folder": "/srv/in",
        "path": "a.png",
        "version": 1,
        "signs": Signs(size=1, mtime_ns=1, ctime_ns=1),
        "sha256": "aa",
        "rule": "photos",
        "destination": "ion",
        "target": {"run_step": "1"},
        "filename": "a.png",
        "dedupe": True,
        "state": State.ACTIVE,
        "run": "run 1",
        "call": "put",
        "attempts": 0,
        "waited": 0.0,
        "next_attempt_at": None,
        "receipts": {},
        "intent": None,
        "elder_id": None,
        "remote_id": None,
        "error": None,
        "first_seen": NOW,
        "updated_at": NOW,
    }
    return Delivery(**(values | changes))
