from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from attachd.config.load import format_problems, load
from attachd.errors import ConfigError

KEYS = (
    "version",
    "ledger",
    "service",
    "status",
    "destinations",
    "kind",
    "url",
    "token",
    "env",
    "file",
    "default",
)
MORE = (
    "oauth",
    "folders",
    "path",
    "existing",
    "rules",
    "name",
    "match",
    "regex",
    "to",
    "target",
    "run",
    "lookup",
)
REST = ("filename", "after", "move", "examples", "types", "lookups", "<<", "x-a", "ion", "upload")
WORDS = (*KEYS, *MORE, *REST)
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.sampled_from(
        ["{a}", "{a}/*", "**", "{a:int}", "(?P<a>x", "2s", "5 GiB", "https://h/", "~", "{run", "\0"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
DESTINATION = st.fixed_dictionaries(
    {"kind": st.just("ion") | VALUES, "url": st.just("https://h/") | VALUES, "token": VALUES},
    optional=dict.fromkeys(
        ("oauth", "workers", "limits", "retry", "timeouts", "storage_hosts", "proxy"), VALUES
    ),
)
RULE = st.fixed_dictionaries(
    {"name": SCALARS, "to": st.just("ion") | VALUES, "target": VALUES},
    optional=dict.fromkeys(("match", "regex", "filename", "after", "examples", "complete", "wait"), VALUES),
)
FOLDER = st.fixed_dictionaries(
    {"path": VALUES, "existing": st.just("upload") | VALUES, "rules": st.lists(RULE, max_size=2) | VALUES},
    optional=dict.fromkeys(("ignore", "settle", "require_mount"), VALUES),
)
DOCUMENT = st.fixed_dictionaries(
    {"version": st.just(1) | VALUES},
    optional={
        "destinations": st.fixed_dictionaries({"ion": DESTINATION | VALUES}) | VALUES,
        "folders": st.lists(FOLDER, max_size=2) | VALUES,
        "types": VALUES,
        "lookups": VALUES,
        "service": VALUES,
        "timezone": VALUES,
        "ledger": VALUES,
    },
)


def check(content: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "rules.yaml"
        path.write_bytes(content)
        try:
            load(path, {})
        except ConfigError as error:
            refused = error
        else:
            return
    assert refused.problems
    assert all(line.isprintable() for line in format_problems(refused))
    assert all(problem.line >= 1 and problem.column >= 1 for problem in refused.problems)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_load_or_are_refused(content):
    """No file makes anything but a ConfigError, with at least one problem."""
    check(content)


@given(st.text(alphabet="ab:-?#&*!|>'\"%@`{}[], \n\t~<=0123\\u", max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_yaml_punctuation_loads_or_is_refused(text):
    """YAML's own characters in any order make nothing worse than a syntax error."""
    check(text.encode())


@given(VALUES | DOCUMENT)
@settings(max_examples=300, deadline=None)
def test_any_document_loads_or_is_refused(document):
    """Known keys with values of any shape make problems, never a crash."""
    check(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace"))
