import importlib.util
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector

from attachd.page.families import FAMILIES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "metrics.md").read_text()
_SPEC = importlib.util.spec_from_file_location("draw_metrics", DOCS / "draw_metrics.py")
draw_metrics = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(draw_metrics)
HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


def test_the_table_of_metrics_is_the_one_of_the_code():
    """The table is the one that docs/draw_metrics.py draws now; run it to put it right."""
    assert draw_metrics.renewed(PAGE) == PAGE


def test_the_metrics_of_the_process_are_named():
    """What the library adds stands in the docs as well."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    names = {sample.name for family in registry.collect() for sample in family.samples}
    assert names
    assert names <= set(re.findall(r"`(process_\w+)`", PAGE))


def test_alerts_use_metrics_that_exist():
    """An alert on a name that was renamed would never fire again."""
    known = {family.name for family in FAMILIES}
    used = set(re.findall(r"\b(attachd_\w+)", (DOCS / "alerts.yml").read_text()))
    assert used
    assert {HISTOGRAM.sub("", name) for name in used} <= known
