"""Secrets: where one is to be had, and reading it, which only commands that need it do.

No message names a secret, only where it was looked for. Credentials are files that systemd puts into
`$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential=).
"""

import os
from collections.abc import Mapping
from pathlib import Path

from attachd.config.context import Context
from attachd.config.document import SecretTable
from attachd.config.files import open_at_once
from attachd.config.wording import Location
from attachd.core.settings import DestinationSettings, SecretRef
from attachd.errors import UserError
from attachd.printable import hide

CREDENTIALS = "CREDENTIALS_DIRECTORY"
_LARGEST = 64 * 1024


def secret_ref(secret: str | SecretTable, at: Location, context: Context) -> SecretRef:
    """Say where a secret is to be had, warning about one that stands in the file itself."""
    line, column = context.report.position(at)
    if isinstance(secret, str):
        _warn_plain(at, context)
        return SecretRef(source="plain", value=secret, line=line, column=column)
    given = {key: value for key, value in secret.model_dump().items() if value is not None}
    if len(given) != 1 and not context.report.has_error_at(at):
        context.report.error(at, "must be exactly one of `env`, `file` and `credential`")
    source, value = next(iter(given.items()), ("env", ""))
    value = context.absolute(value) if source == "file" else value
    return SecretRef(source=source, value=value, line=line, column=column)


def read_secret(ref: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret; one newline at its end is not part of it.

    Raises:
        UserError: it is not there, empty, unreadable, or no single line of text; says where was looked.
    """
    secret = _raw_secret(ref, environ)
    secret = secret.removesuffix("\n").removesuffix("\r")
    place = _place(ref)
    if not secret.strip():
        raise UserError(f"the secret from {place} is empty", hint=_remedy(ref))
    if not secret.isprintable() or not secret.isascii():
        raise UserError(
            f"the secret from {place} has characters that no token has",
            hint="it must be one line of printable ASCII; look for a line break or an invisible character",
        )
    hide(secret)
    return secret


def secret_of(account: DestinationSettings) -> SecretRef:
    """Say where a destination's secret is to be had: its token, or its client's secret."""
    if account.oauth is not None:
        return account.oauth.client_secret
    return account.token or SecretRef(source="plain", value="")


def secret_path(ref: SecretRef, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the file that holds a secret, None where it is in no file."""
    if ref.source == "file":
        return Path(ref.value)
    directory = environ.get(CREDENTIALS)
    return Path(directory) / ref.value if ref.source == "credential" and directory else None


def _raw_secret(ref: SecretRef, environ: Mapping[str, str]) -> str:
    if ref.source == "plain":
        return ref.value
    if ref.source == "env":
        if ref.value not in environ:
            raise UserError(f"environment variable {ref.value} is not set", hint=_remedy(ref))
        return environ[ref.value]
    if ref.source == "file":
        return _read_file(Path(ref.value), ref)
    directory = environ.get(CREDENTIALS)
    if not directory:
        raise UserError(
            f"credential {ref.value}: ${CREDENTIALS} is not set",
            hint=f"run under systemd with LoadCredential={ref.value}:/path/of/the/file",
        )
    return _read_file(Path(directory) / ref.value, ref)


def _read_file(path: Path, ref: SecretRef) -> str:
    try:
        with open_at_once(path) as stream:
            return stream.read(_LARGEST).decode("utf-8")
    except OSError as error:
        raise UserError(f"cannot read the secret file {path}: {error.strerror}", hint=_remedy(ref)) from error
    except UnicodeDecodeError:
        raise UserError(f"the secret file {path} is not UTF-8", hint="save it as plain text") from None


def _place(ref: SecretRef) -> str:
    names = {
        "env": f"environment variable {ref.value}",
        "file": ref.value,
        "credential": f"credential {ref.value}",
    }
    return names.get(ref.source, "rules.yaml")


def _remedy(ref: SecretRef) -> str:
    if ref.source == "env":
        return f"set {ref.value} in the environment of the service"
    if ref.source == "plain":
        return "write `{env: NAME}` instead"
    return "the file must exist, hold nothing but the secret, and be readable by the user of the service"


def _warn_plain(at: Location, context: Context) -> None:
    what, hint = (
        "the secret stands here in plain text",
        "write `{env: NAME}`, `{file: PATH}` or `{credential: NAME}`",
    )
    if context.world_readable:
        what, hint = f"{what}, and everybody on this machine may read the file", f"{hint}; chmod 600"
    context.report.warn(at, what, hint)
