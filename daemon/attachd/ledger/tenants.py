"""To which host and organization each destination's name is bound."""

from datetime import datetime
from sqlite3 import Connection

from attachd.ledger import rows
from attachd.model import Tenant


def bind(connection: Connection, destination: str, tenant: Tenant, at: datetime) -> Tenant | None:
    """Bind a name, unless it is bound already; give the tenant it is bound to where that is another one."""
    connection.execute(
        "INSERT INTO tenants (destination, host, organization, bound_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (destination) DO UPDATE SET organization = excluded.organization"
        " WHERE host = excluded.host AND organization IS NULL",
        (destination, tenant.host, tenant.organization, rows.to_text(at)),
    )
    return other_tenant(connection, destination, tenant)


def other_tenant(connection: Connection, destination: str, tenant: Tenant) -> Tenant | None:
    """Give the tenant a name is bound to where that is another one; None also where it is not bound yet."""
    row = connection.execute(
        "SELECT host, organization FROM tenants WHERE destination = ?", (destination,)
    ).fetchone()
    if row is None:
        return None
    bound = Tenant(host=row["host"], organization=row["organization"])
    told = {bound.organization, tenant.organization} - {None}
    return None if bound.host == tenant.host and len(told) <= 1 else bound
