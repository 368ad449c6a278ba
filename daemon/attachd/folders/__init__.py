"""Folders: noticing what lies there, waiting until it is complete, and reading it safely."""
