import re
from pathlib import Path

import pytest

from attachd.config.load import load

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
