import re
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from attachd.errors import LedgerError
from attachd.page.families import FAMILIES
from attachd.page.metrics import Metrics
from attachd.status.measuring import Measures

OWN = {family.name for family in FAMILIES}
UNITS = ("_seconds", "_bytes", "_total", "_info")
COUNTS_OF_THINGS = {
    "attachd_deliveries",
    "attachd_files_without_delivery",
    "attachd_folder_files",
    "attachd_folder_settling_files",
}
YES_OR_NO = {
    "attachd_gate_closed",
    "attachd_ledger_writable",
    "attachd_rules_refused",
    "attachd_folder_healthy",
}


def scraped(source) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, _ = Metrics(source).exposition("")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_numbers_are_those_of_the_service(values):
    """What was counted and what the ledger has stand there under their names and labels."""
    found = scraped(values.source())
    assert found["attachd_deliveries", (("destination", "ion"), ("state", "done"))] == 5
    assert found["attachd_deliveries", (("destination", "ion"), ("state", "waiting"))] == 0
    assert found["attachd_sent_bytes_total", (("destination", "ion"),)] == 1000
    assert found["attachd_files_found_total", (("by", "hint"), ("folder", "3"))] == 1
    assert found["attachd_files_found_total", (("by", "scan"), ("folder", "3"))] == 0
    assert found["attachd_folder_scan_age_seconds", (("folder", "3"),)] == 12
    assert found["attachd_oldest_undelivered_age_seconds", ()] > 0
    assert found["attachd_ledger_writable", ()] == 1
    call = (("call", "open"), ("destination", "ion"), ("outcome", "ok"))
    assert found["attachd_call_duration_seconds_sum", call] == 0.2
    assert found["attachd_call_duration_seconds_bucket", (*call[:2], ("le", "0.25"), call[2])] == 1
    assert found["attachd_call_duration_seconds_bucket", (*call[:2], ("le", "0.1"), call[2])] == 0
    assert ("process_open_fds", ()) in found


def test_trouble_shows(values):
    """Gates, folders and the ledger that are not well are 1 or 0 as their names say."""
    source = values.source(healthy=False, detail="refused")
    source.inside = replace(source.inside, ledger_trouble="no space is left")
    found = scraped(source)
    assert found["attachd_gate_closed", (("destination", "ion"),)] == 1
    assert found["attachd_folder_healthy", (("folder", "3"),)] == 0
    assert found["attachd_ledger_writable", ()] == 0


def test_nothing_waits_and_the_age_is_zero(values):
    """An alert on the age of the oldest file must not fire where there is none."""
    source = values.source()
    source.standing = replace(source.standing, oldest_undelivered_at=None)
    assert scraped(source)["attachd_oldest_undelivered_age_seconds", ()] == 0


def test_a_ledger_that_cannot_be_read_leaves_out_its_own(values):
    """No number is made up, the others stand, and the ledger is said not to be well."""
    source = values.source()
    source.fault = LedgerError("gone")
    found = scraped(source)
    assert not any(name == "attachd_deliveries" for name, _ in found)
    assert found["attachd_ledger_writable", ()] == 0
    assert ("attachd_gate_closed", (("destination", "ion"),)) in found


def test_every_family_is_there_once_and_nothing_else_of_ours(values):
    """What is described is what is given, each sample once."""
    text, _ = Metrics(values.source()).exposition("")
    described = re.findall(r"^# TYPE (attachd_\w+) ", text.decode(), re.MULTILINE)
    assert sorted(described) == sorted(OWN)
    samples = [line.rpartition(" ")[0] for line in text.decode().splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples))


def test_names_keep_to_the_conventions():
    """A name has its unit, counts things, or is a plain yes or no; counters and only they end in _total."""
    for family in FAMILIES:
        assert family.name.endswith(UNITS) or family.name in COUNTS_OF_THINGS | YES_OR_NO, family.name
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name


def test_labels_never_carry_a_path(values):
    """A folder is told by its number: its path is on the page, where one has to be let in to read it."""
    source = values.source()
    source.entries = (values.entry("secret-project/1.jpg"),)
    text, _ = Metrics(source).exposition("")
    assert b"/srv" not in text
    assert b"secret-project" not in text
    assert {label for family in FAMILIES for label in family.labels}.isdisjoint({"path", "file", "rule"})


def test_open_metrics_is_given_to_whoever_asks_for_it(values):
    """Prometheus asks for it by Accept."""
    text, media_type = Metrics(values.source()).exposition("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_measures_add_up():
    """Durations fall into every bucket that is wide enough, those of a clock put back into the first."""
    measures = Measures()
    for seconds in (-1.0, 0.05, 0.06, 1000.0):
        measures.called("ion", "put", "ok", seconds)
    spread = measures.taken().calls["ion", "put", "ok"]
    assert spread.below[0] == 2
    assert spread.below[1] == 3
    assert spread.below[-2] == 3
    assert spread.below[-1] == 4
    assert spread.total == 1000.11
