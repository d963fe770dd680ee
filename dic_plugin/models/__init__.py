"""Importing this package registers its models."""
from dic_plugin.models.dic_model import DICModel
from dic_plugin.models.dicgan_model import DICGANModel
from dic_plugin.models.landmark_model import LandmarkModel

__all__ = ['DICGANModel', 'DICModel', 'LandmarkModel']
