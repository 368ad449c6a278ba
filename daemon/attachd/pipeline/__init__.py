"""The way of a file: intake (settled → rules → ledger), dispatch (claim, gate, workers), delivery, doubt."""
