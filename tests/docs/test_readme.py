import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attachd.config.load import load
from attachd.core.rules import FileFacts, judge, planned

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_rules_example_of_the_readme_checks_out(example, tmp_path):
    """A rules.yaml copied from the README has no problem, and its own examples hold."""
    file = tmp_path / "rules.yaml"
    file.write_text(example)
    settings, warnings = load(file)
    assert warnings == []
    assert all(rule.examples for folder in settings.folders for rule in folder.rules)


def test_the_readme_has_examples():
    """The examples are found where readers find them."""
    assert len(EXAMPLES) >= 2


def test_the_readme_names_every_make_target_it_tells_of():
    """`make demo`, `make test` and `make check` exist."""
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets | {"and"}


def test_the_first_table_is_what_rules_yaml_does():
    """Each path at the top of the README is attached to that object, under that name."""
    (folder,) = load(ROOT / "rules.yaml", {"ION_TOKEN": "t"})[0].folders
    rows = re.findall(r"^\| `drop/(.+?)` \| (.+) (\d+), as `(.+)` \|$", README, flags=re.MULTILINE)
    assert len(rows) == 3
    for path, kind, number, filename in rows:
        day = datetime(2026, 11, 21, tzinfo=UTC)
        facts = FileFacts(path=path, folder="drop", size=1, mtime=day, first_seen=day, host="h", timezone=UTC)
        (plan,) = planned(judge(folder.rules, facts))
        assert (plan.target, plan.filename) == ({kind.replace(" ", "_"): number}, filename)
