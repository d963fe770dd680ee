"""Helpers of several tests; imported as ``helpers.<module>``."""
