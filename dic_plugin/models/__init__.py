"""Importing this package registers its models."""
from dic_plugin.models.dic_model import DICModel

__all__ = ['DICModel']
