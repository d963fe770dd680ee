"""Importing this package registers its losses."""
from dic_plugin.losses.face_feature_loss import FaceFeatureLoss
from dic_plugin.losses.grid_loss import GridLoss
from dic_plugin.losses.landmark_heatmap_loss import LandmarkHeatmapLoss

__all__ = ['FaceFeatureLoss', 'GridLoss', 'LandmarkHeatmapLoss']
