"""The version and what it runs on, in one place: setup.py, the package and the set-up scripts read them from here."""
__version__ = '0.1.0'
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)
OLDEST_TORCH = '2.4'
