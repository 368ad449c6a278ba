"""Accounts that files can be attached to: one module for each kind, on a shared transport.

`registry.build` makes a destination from its settings. Only `transport`, `connections` and `faults`
touch requests and urllib3; `graphql` and `storage` turn their answers into `Trouble`.
"""
