"""Imports the plugin before any test does, so that tests may import BasicSR on any torchvision."""
import dic_plugin  # noqa: F401
