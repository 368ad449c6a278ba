"""What all tests share: which of them are slow."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SLOW = ("storage/", "after/", "service/")
QUICK = ("service/test_main_job.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what works with real services and many processes; the main job itself is always tested."""
    for item in items:
        name = str(item.path.relative_to(HERE))
        if name.startswith(SLOW) and not name.startswith(QUICK):
            item.add_marker(pytest.mark.slow)
