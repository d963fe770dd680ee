"""Importing this package registers its datasets."""
from dic_plugin.data.face_landmark_dataset import FaceLandmarkDataset  # noqa: F401
from dic_plugin.data.synthetic_face_dataset import SyntheticFaceDataset  # noqa: F401
