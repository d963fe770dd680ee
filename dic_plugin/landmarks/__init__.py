"""Landmarks as numbers: layouts, heatmaps, errors. Pure functions without state."""
