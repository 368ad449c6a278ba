"""Wiring of the rooms, start and stop in order, signals, and the supervision of threads."""
