from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from attachd.config.load import format_problems, load
from attachd.core.settings import Settings
from attachd.errors import ConfigError

GOOD = """\
version: 1
destinations:
  ion:
    kind: ion
    url: https://ion.example/graphql
    token: {env: ION_TOKEN}
folders:
  - path: drop
    existing: upload
    rules:
      - name: photos
        match: "{run}/*"
        to: ion
        target: {run: "{run}"}
"""


@pytest.fixture
def good() -> str:
    """Give a small file that has no problems."""
    return GOOD


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Save a text or bytes as rules.yaml and give its path."""

    def save(content: str | bytes) -> Path:
        path = tmp_path / "rules.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return path

    return save


@pytest.fixture
def problems(write) -> Callable[..., list[str]]:
    """Load a text and give the problems, or warnings, as lines without the file's name."""

    def find(content: str | bytes, environ: Mapping[str, str] = {}, *, resolve: bool = True) -> list[str]:
        path = write(content)
        try:
            _settings, warnings = load(path, environ, resolve=resolve)
        except ConfigError as error:
            lines = format_problems(error)
        else:
            lines = format_problems(warnings, str(path))
        return [line.removeprefix(f"{path}:") for line in lines]

    return find


@pytest.fixture
def settings(write) -> Callable[..., Settings]:
    """Load a text that has no problems."""

    def read(content: str, environ: Mapping[str, str] = {}) -> Settings:
        return load(write(content), environ)[0]

    return read
