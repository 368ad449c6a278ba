import re
from pathlib import Path

import pytest

from attachd.config.load import load
from attachd.config.targets import GLUE_KEYS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "glue.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_glue_page_checks_out(example, tmp_path):
    """A rules.yaml copied from the page has no problem, and its own examples hold."""
    file = tmp_path / "rules.yaml"
    file.write_text(example)
    settings, warnings = load(file)
    assert warnings == []
    assert all(rule.examples for folder in settings.folders for rule in folder.rules)


def test_the_page_tells_of_every_key():
    """Each key of a target at Glue is told of, and there is an example."""
    assert [key for key in GLUE_KEYS if f"`{key}`" not in PAGE] == []
    assert EXAMPLES


def uncommented(text, first, mark):
    """Take the comment marks off the block that begins with a line."""
    before, block = text.split(first, 1)
    block, blank, after = (first + block).partition("\n\n")
    return before + re.sub(rf"^{mark}# ", mark, block, flags=re.MULTILINE) + blank + after


def test_the_commented_example_of_rules_yaml_checks_out(tmp_path):
    """Taking the comment marks off is all that has to be done."""
    text = uncommented((ROOT / "rules.yaml").read_text(), "  # glue: ", "  ")
    text = uncommented(text, "      # - name: shift reports", "      ")
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    settings, _ = load(file, {"GLUE_CLIENT_ID": "me"})
    assert settings.destinations["glue"].kind == "glue"
    assert sorted(settings.folders[0].rules[-1].target) == ["message", "thread"]
