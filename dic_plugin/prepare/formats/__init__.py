"""Landmarks from the files that datasets and tools come with: one format a file."""
