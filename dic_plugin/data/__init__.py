"""Importing this package registers its datasets."""
