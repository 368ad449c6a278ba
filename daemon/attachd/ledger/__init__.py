"""The memory of attachd in one SQLite file. No other room knows SQL.

`store.SqliteLedger` keeps the promises of `core.protocols.Ledger`, `reports.Reports` answers the reading
commands, and `lock.LedgerLock` keeps two services away from one ledger.
"""
