"""The version, for those that may not load the package's front, which leads to torch."""

__version__ = "0.1.0"
