"""Decisions as pure functions of values: no disk, no net, no clock, no threads."""
