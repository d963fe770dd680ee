"""Builds the compiled convolution and names the dependencies, some of which hang on what is installed already."""
import glob
import runpy
from importlib import metadata
from os import path as osp

from setuptools import Extension, setup

# Run, not imported: importing the package needs torch and BasicSR.
ABOUT = runpy.run_path(osp.join(osp.dirname(osp.abspath(__file__)), 'dic_plugin/version.py'))


def unless(other: str, name: str) -> list:
    """Return [``name``], or [] where ``other``, which brings the same module, is installed."""
    try:
        metadata.version(other)
    except metadata.PackageNotFoundError:
        return [name]
    return []


setup(
    ext_modules=[
        # Loaded by dic_plugin/ops/native_conv.py, not imported. Without a compiler the plugin works, but slower.
        Extension(
            'dic_plugin.ops._conv_act',
            sources=['dic_plugin/ops/src/conv_act.cpp'],
            depends=sorted(glob.glob('dic_plugin/ops/src/*.h')),
            # -fno-ivopts: with it the compiler spends its registers on addresses (the tiles are a tenth slower)
            extra_compile_args=['-O3', '-fno-ivopts', '-std=c++17', '-fopenmp'],
            extra_link_args=['-fopenmp'],
            optional=True)
    ],
    install_requires=[
        f'torch>={ABOUT["OLDEST_TORCH"]}',
        'torchvision',
        *unless('basicsr-fixed', 'basicsr'),
        *unless('mmcv', 'mmcv-lite'),
        'addict',
        'filelock',
        'jinja2',
        'lmdb',
        'numpy',
        'opencv-python',
        'matplotlib',
        'pandas',
        'pillow',
        'pyyaml',
        'safetensors',
        'scikit-image',
        'scipy>=1.15',
        'tqdm',
    ])
