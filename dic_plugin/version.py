"""The version, in one place: setup.py, the package and every option file read it from here."""
__version__ = '0.1.0'
