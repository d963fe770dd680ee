"""Tools that belong to no single registry."""
