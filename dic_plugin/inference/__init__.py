"""Inference: ``FaceRestorer`` restores faces in arrays, ``restore_files`` those of photographs."""
from dic_plugin.inference.restorer import FaceRestorer, RestoredFaces, RestoredStep

__all__ = ['FaceRestorer', 'RestoredFaces', 'RestoredStep']
