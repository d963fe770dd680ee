"""Importing this package registers its models."""
from dic_plugin.models.dic_model import DICModel
from dic_plugin.models.dicgan_model import DICGANModel
from dic_plugin.models.landmark_model import LandmarkModel
from dic_plugin.models.pfsr_model import PFSRModel
from dic_plugin.models.rivals_model import FSRGANModel, FSRNetModel, StepsModel

__all__ = ['DICGANModel', 'DICModel', 'FSRGANModel', 'FSRNetModel', 'LandmarkModel', 'PFSRModel', 'StepsModel']
