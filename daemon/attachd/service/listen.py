"""Where the page is to be, from rules.yaml and with its secret."""

import os
from collections.abc import Mapping

from attachd.config.secrets import read_secret
from attachd.core.settings import Settings
from attachd.errors import ConfigError, Problem, UserError
from attachd.page.listening import Listen


def read_listen(settings: Settings, environ: Mapping[str, str] = os.environ) -> Listen | None:
    """Say where the page is to be, with its token read; None where there is to be none.

    Raises:
        ConfigError: the token cannot be had.
    """
    status = settings.service.status
    if status is None:
        return None
    if status.token is None:
        return Listen(host=status.host, port=status.port)
    try:
        return Listen(host=status.host, port=status.port, token=read_secret(status.token, environ))
    except UserError as error:
        place = (status.token.line, status.token.column, "service.status_token")
        raise ConfigError(settings.file, [Problem(*place, what=error.message, hint=error.hint)]) from error
