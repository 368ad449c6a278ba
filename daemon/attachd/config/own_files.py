"""attachd's own files: rules.yaml, the files that hold secrets, and the ledger with what lies beside it."""

from attachd.config.secrets import secret_of
from attachd.core.settings import Settings

_BESIDE_LEDGER = ("", "-wal", "-shm", "-journal", ".lock", ".backup", ".backup.old")


def own_files(settings: Settings) -> tuple[str, ...]:
    """Give their absolute paths: none is ever uploaded, even where it lies in a watched folder."""
    secrets = [secret_of(account) for account in settings.destinations.values()]
    if settings.service.status is not None and settings.service.status.token is not None:
        secrets.append(settings.service.status.token)
    ledger = (settings.ledger + suffix for suffix in _BESIDE_LEDGER)
    return (settings.file, *ledger, *(ref.value for ref in secrets if ref.source == "file"))
