"""The version. Modules of the package import it from here, not from the package itself."""

__version__ = "0.2.0"
