"""Where rules.yaml is looked for, and where the ledger lies when the file does not say."""

import os
from collections.abc import Mapping
from pathlib import Path

from attachd.config.links import real_path
from attachd.errors import UserError

VARIABLE = "ATTACHD_CONFIG"
FILE_NAME = "rules.yaml"
SYSTEM_FILE = Path("/etc/attachd/rules.yaml")
SYSTEM_LEDGER = Path("/var/lib/attachd/attachd.db")
LEDGER_NAME = "attachd.db"


class NoConfig(UserError):
    """No rules.yaml was found, or it cannot be read; says where was looked."""

    exit_code = 78


def find_config(given: str | None, environ: Mapping[str, str], directory: Path) -> Path:
    """Give the absolute path of the file to use: `-c`, then `$ATTACHD_CONFIG`, then the two usual places.

    Args:
        given: what stood behind `-c`, or None. A relative path counts from `directory`.
        environ: the environment.
        directory: the working directory.

    Raises:
        NoConfig: the file that was asked for is not there, or none of the usual ones is.
    """
    asked = given or environ.get(VARIABLE)
    if asked:
        return _asked_for(directory / asked, "-c" if given else f"${VARIABLE}")
    usual = [directory / FILE_NAME, SYSTEM_FILE]
    found = next((place for place in usual if _is_there(place)), None)
    if found is None:
        raise NoConfig(
            f"no {FILE_NAME} found; looked at " + " and ".join(str(place) for place in usual),
            hint=f"name it with -c FILE or ${VARIABLE}",
        )
    return found


def absolute(path: Path) -> Path:
    """Give an absolute path; `..` is resolved, except where a link makes it lead elsewhere."""
    whole = path.absolute()
    tidy = Path(os.path.normpath(whole))
    return tidy if real_path(str(tidy)) == real_path(str(whole)) else whole


def default_ledger(file: Path) -> Path:
    """Give the ledger's place for a file that names none; `file` is absolute."""
    return SYSTEM_LEDGER if file == SYSTEM_FILE else file.parent / LEDGER_NAME


def _is_there(path: Path) -> bool:
    """Say whether something can be read there: a file, or the pipe of a shell's `<(…)`.

    Raises:
        NoConfig: its directory is closed to us, or the system takes no such name, so that nobody can say.
    """
    try:
        return path.exists() and not path.is_dir()
    except OSError as error:
        hint = "it and its directory must be readable for the user that attachd runs as"
        raise NoConfig(f"{path}: {error.strerror}", hint=hint) from error


def _asked_for(path: Path, source: str) -> Path:
    if not _is_there(path):
        problem = "it is a directory" if path.is_dir() else "no such file"
        raise NoConfig(f"{path}: {problem}, named by {source}", hint="check the path")
    return absolute(path)
