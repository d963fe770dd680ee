"""Synthetic faces with exact landmarks, drawn by numpy and OpenCV: ``draw_face(seed, index, size)``."""
from .render import draw_face

__all__ = ['draw_face']
