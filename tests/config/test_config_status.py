import pytest

from attachd.config.load import load
from attachd.core.settings import SecretRef, StatusSettings
from attachd.errors import ConfigError

RULES = """\
version: 1
service: {service}
destinations:
  ion: {{kind: ion, url: "https://ion.example/graphql", token: {{env: T}}}}
folders:
  - path: drop
    existing: upload
    rules: [{{name: a, match: "*", to: ion, target: {{entity: "1"}}}}]
"""


def status_of(tmp_path, service, **how):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(service=service))
    return load(file, {"T": "x"}, **how)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("{}", None),
        ("{status: '127.0.0.1:8780'}", StatusSettings(host="127.0.0.1", port=8780)),
        ("{status: 'localhost:0'}", StatusSettings(host="localhost", port=0)),
        ("{status: '[::1]:8780'}", StatusSettings(host="::1", port=8780)),
        (
            "{status: '0.0.0.0:8780', status_token: {credential: page}}",
            StatusSettings(host="0.0.0.0", port=8780, token=SecretRef(source="credential", value="page")),
        ),
        ("{status_token: {credential: page}}", None),
    ],
)
def test_the_address_of_the_page_is_read(tmp_path, service, expected):
    """Host and port apart, brackets gone, the token as the place where it is to be had."""
    settings, warnings = status_of(tmp_path, service)
    assert settings.service.status == expected
    assert warnings == []


def test_a_missing_extra_is_an_error_where_the_service_runs_and_a_warning_elsewhere(tmp_path, monkeypatch):
    """`check` may run on another machine than the service; both name what is missing and how to get it."""
    monkeypatch.setattr("attachd.config.build.find_spec", lambda name: None if name == "uvicorn" else name)
    _, warnings = status_of(tmp_path, "{status: '127.0.0.1:8780'}", resolve=False)
    with pytest.raises(ConfigError) as caught:
        status_of(tmp_path, "{status: '127.0.0.1:8780'}", resolve=True)
    for problem in (*warnings, *caught.value.problems):
        assert problem.path == "service.status"
        assert problem.what == "needs the extra `page`: uvicorn not installed"
        assert problem.hint == "install it with: pip install 'attachd[page]'"
    assert [problem.warning for problem in warnings] == [True]
