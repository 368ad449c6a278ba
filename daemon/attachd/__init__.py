"""attachd: watch folders and attach every file to the right entity, exactly once."""

from importlib.metadata import version

__version__ = version("attachd")
