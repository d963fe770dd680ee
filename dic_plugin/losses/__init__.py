"""Importing this package registers its losses."""
