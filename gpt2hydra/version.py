"""The version, for those who may not import the package that names it."""

__version__ = "0.2.0"
