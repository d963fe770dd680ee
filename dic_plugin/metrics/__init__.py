"""Importing this package registers its metrics."""
