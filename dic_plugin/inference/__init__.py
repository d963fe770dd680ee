"""Inference: faces in arrays restored by ``FaceRestorer``, photographs by ``dic-infer``.

    restorer.py    weights and 16x16 faces in; 128x128 faces, landmarks and attention out
    weights.py     what network a checkpoint is of
"""
from dic_plugin.inference.restorer import FaceRestorer, RestoredFaces, RestoredStep

__all__ = ['FaceRestorer', 'RestoredFaces', 'RestoredStep']
