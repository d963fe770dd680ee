"""Landmarks found in the photographs themselves: one detector a file."""
