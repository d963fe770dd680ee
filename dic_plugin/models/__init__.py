"""Importing this package registers its models."""
