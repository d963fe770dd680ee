"""Installs ``dic_plugin`` and its commands, ``dic-train`` and others."""
import glob
import runpy
from importlib import metadata
from os import path as osp

from setuptools import Extension, find_packages, setup

HERE = osp.dirname(osp.abspath(__file__))


def read(name: str) -> str:
    with open(osp.join(HERE, name), encoding='utf-8') as file:
        return file.read()


# Run, not imported: importing the package needs torch and BasicSR.
ABOUT = runpy.run_path(osp.join(HERE, 'dic_plugin/version.py'))


def unless(other: str, name: str) -> list:
    """``name`` is required unless ``other``, which brings the same module, is installed already."""
    try:
        metadata.version(other)
    except metadata.PackageNotFoundError:
        return [name]
    return []


# Loaded by dic_plugin/ops/native_conv.py, not imported. Without a compiler the plugin works all the same, but slower.
native = Extension(
    'dic_plugin.ops._conv_act',
    sources=['dic_plugin/ops/src/conv_act.cpp'],
    depends=sorted(glob.glob('dic_plugin/ops/src/*.h')),
    # -fno-ivopts: with it the compiler spends its registers on addresses (the tiles are a tenth slower)
    extra_compile_args=['-O3', '-fno-ivopts', '-std=c++17', '-fopenmp'],
    extra_link_args=['-fopenmp'],
    optional=True)

COMMANDS = ('infer', 'prepare', 'check', 'convert', 'evaluate', 'benchmark', 'export', 'demo')

docs = ['mkdocs>=1.6,<2', 'mkdocstrings[python]>=1', 'setuptools<81']  # docs/generate.py runs setup.py
faces = ['dlib-bin', 'face_recognition_models']
onnx = ['onnx', 'onnxruntime', 'onnxscript']

setup(
    name='dic_plugin',
    version=ABOUT['__version__'],
    description='DIC and DICGAN, face super-resolution with landmarks (CVPR 2020), for BasicSR',
    long_description=read('README.md') if osp.isfile(osp.join(HERE, 'README.md')) else '',
    long_description_content_type='text/markdown',
    license='Apache License 2.0',
    keywords='face super-resolution, facial landmarks, BasicSR, DIC, DICGAN',
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}'
          for minor in range(ABOUT['OLDEST_PYTHON'][1], ABOUT['NEWEST_PYTHON'][1] + 1)),
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
    packages=find_packages(include=['dic_plugin', 'dic_plugin.*']),
    package_data={'dic_plugin': ['**/*.j2', '**/*.json', '**/*.npz', '**/*.tsv', '**/*.txt', '**/*.yml']},
    data_files=[(osp.join('share/dic_plugin', folder),
                 sorted(osp.relpath(f, HERE) for f in glob.glob(f'{glob.escape(HERE)}/{folder}/*.yml')))
                for folder in ('options', 'options/benchmark')],
    ext_modules=[native],
    entry_points={
        'console_scripts': [
            'dic-train = dic_plugin.launch:train',
            'dic-test = dic_plugin.launch:test',
            *(f'dic-{name} = dic_plugin.cli.{name}:main' for name in COMMANDS),
        ]
    },
    python_requires='>={}.{}'.format(*ABOUT['OLDEST_PYTHON']),
    install_requires=[
        f'torch>={ABOUT["OLDEST_TORCH"]}',
        'torchvision',
        *unless('basicsr-fixed', 'basicsr'),
        *unless('mmcv', 'mmcv-lite'),
        'addict',
        'jinja2',
        'lmdb',
        'numpy',
        'opencv-python',
        'matplotlib',
        'pandas',
        'pillow',
        'pyyaml',
        'scikit-image',
        'tqdm',
    ],
    extras_require={
        'demo': ['gradio>=6'],  # the page of dic-demo
        'docs':
        docs,  # builds the documentation
        'faces':
        faces,  # finds faces in photographs
        'metrics': ['lpips'],
        'onnx':
        onnx,
        'tests': [
            *docs,
            *faces,
            *onnx,
            'gradio>=6',
            'hypothesis',
            'pytest',
            'pytest-timeout',
            'pytest-xdist>=3.8',
            'ruff',
            'selenium',
            'setuptools<81',  # face_recognition_models imports pkg_resources
            'wheel',
            'yapf==0.43.0',  # the version that formats this tree
        ],
    },
    zip_safe=False,
)
