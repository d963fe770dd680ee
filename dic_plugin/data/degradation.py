"""Low-quality images from ground truth, as in the paper's data (its section 4.1): 8 bits in every step."""
import mmcv
import numpy as np

__all__ = ['make_lq']


def make_lq(gt: np.ndarray, upscale: int) -> np.ndarray:
    """Shrink an image with Pillow's bicubic filter, which averages over the area that a pixel stands for.

    Args:
        gt: uint8 image, (H, W, C), H and W multiples of ``upscale``. It is 8 bits deep on purpose: the paper shrinks
            the rounded crop, and an inference tool has nothing better.
        upscale: Factor by which the network will enlarge the result.

    Returns:
        uint8 image, (H / upscale, W / upscale, C).

    Raises:
        ValueError: wrong type, or a side that ``upscale`` does not divide.
    """
    if gt.dtype != np.uint8:
        raise ValueError(f'make_lq takes 8-bit images (uint8, 0 to 255), but was given {gt.dtype}.')
    height, width = gt.shape[:2]
    if height % upscale or width % upscale:
        raise ValueError(
            f'An image of {width}x{height} (width x height) cannot be shrunk by {upscale}: both sides must '
            'be multiples of it.')
    return mmcv.imresize(gt, (width // upscale, height // upscale), interpolation='bicubic', backend='pillow')
