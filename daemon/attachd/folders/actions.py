"""An after-action as it goes to the process that carries it out on a network file system."""

from dataclasses import asdict
from datetime import datetime

from attachd.core.afters import AfterAction, AfterKind, AfterState
from attachd.folders.frames import Said
from attachd.model import Signs


def pack_action(action: AfterAction) -> Said:
    """Give an after-action as JSON has it."""
    return asdict(action) | {"first_seen": action.first_seen.isoformat()}


def unpack_action(said: Said) -> AfterAction:
    """Give the after-action of `pack_action`."""
    typed = {
        "signs": Signs(**said["signs"]),
        "kind": AfterKind(said["kind"]),
        "state": AfterState(said["state"]),
        "first_seen": datetime.fromisoformat(said["first_seen"]),
    }
    return AfterAction(**(said | typed))
