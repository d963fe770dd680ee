"""Importing this package registers its archs."""
