from datetime import UTC, datetime

import pytest

from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import Tenant

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HERE = Tenant(host="ion.example", organization="7")


@pytest.fixture
def bind(tmp_path):
    """Bind names in a ledger that is opened anew each time: a binding is for good."""

    def bind_once(name, host, organization):
        ledger = SqliteLedger.open(str(tmp_path / "a.db"), create=True)
        try:
            return ledger.bind(name, Tenant(host=host, organization=organization), AT)
        finally:
            ledger.close()

    return bind_once


def test_a_name_is_bound_to_its_first_tenant(bind):
    """The first tenant is taken, again and again, and every other one is told whose the name is."""
    assert bind("ion", "ion.example", "7") is None
    assert bind("ion", "ion.example", "7") is None
    assert bind("ion", "ion.example", "8") == HERE
    assert bind("ion", "other.example", "7") == HERE
    assert bind("ion", "ion.example", "7") is None


def test_each_name_has_a_tenant_of_its_own(bind):
    """Two names may lead to two tenants, or to the same."""
    assert bind("north", "ion.example", "7") is None
    assert bind("south", "ion.example", "8") is None
    assert bind("again", "ion.example", "7") is None


def test_an_organization_that_is_not_told_is_learned_later(bind):
    """Where only the host is known it binds alone, and the organization joins it once it is told."""
    assert bind("ion", "ion.example", None) is None
    assert bind("ion", "other.example", None) == Tenant(host="ion.example", organization=None)
    assert bind("ion", "ion.example", "7") is None
    assert bind("ion", "ion.example", None) is None
    assert bind("ion", "ion.example", "8") == HERE


def test_who_only_reads_binds_nothing(bind, tmp_path):
    """A reading command can ask whether a name belongs to somebody else; it never takes a name."""
    other = Tenant(host="other.example", organization="7")
    bind("ion", "ion.example", "7")
    with Reports.open(str(tmp_path / "a.db")) as reports:
        assert reports.other_tenant("ion", HERE) is None
        assert reports.other_tenant("ion", other) == HERE
        assert reports.other_tenant("new", other) is None
    assert bind("new", "ion.example", "7") is None
