"""The package as it is installed: one version, its commands, its data files."""
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import dic_plugin
from dic_plugin import version
from helpers.paths import ROOT

pytestmark = pytest.mark.skipif(not (ROOT / '.git').exists(), reason='tests a checkout, which this is not')


def test_version_stands_in_one_place():
    places = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'setup.py', ROOT / 'pyproject.toml', *ROOT.glob('dic_plugin/**/*.py'))
        if re.search(re.escape(dic_plugin.__version__), path.read_text(encoding='utf-8'))
    ]
    assert places == ['dic_plugin/version.py']


def test_version_is_read_without_importing_the_package():
    code = ('import runpy, sys; sys.argv[1:] = ["--version"]; runpy.run_path("setup.py", run_name="__main__"); '
            'assert "torch" not in sys.modules and "dic_plugin" not in sys.modules')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == dic_plugin.__version__


def tracked():
    return set(subprocess.check_output(['git', 'ls-files'], cwd=ROOT, text=True).split('\n')) - {''}


def build(folder, kind):
    """Build an sdist or a wheel of a folder of sources; returns the file."""
    code = f'from setuptools import build_meta; build_meta.build_{kind}("built")'
    done = subprocess.run([sys.executable, '-c', code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    path, = (folder / 'built').iterdir()
    return path


@pytest.fixture(scope='module')
def sdist(tmp_path_factory):
    """The unpacked sdist of a copy of the checkout, because building leaves files beside setup.py."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('sdist')
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    shutil.unpack_archive(build(source, 'sdist'), out)
    folder, = out.iterdir()
    return folder


@pytest.fixture(scope='module')
def wheel(sdist):
    """The name of the wheel that the sdist gives, and its archive."""
    path = build(sdist, 'wheel')
    with zipfile.ZipFile(path) as archive:
        yield path.name, archive


def test_sdist_holds_the_checkout(sdist):
    held = {f.relative_to(sdist).as_posix() for f in sdist.rglob('*') if f.is_file()}
    assert tracked() <= held
    assert {f for f in held - tracked() if not f.startswith(('built/', 'build/', 'dic_plugin.egg-info/'))} == {
        'PKG-INFO', 'setup.cfg'}  # yapf: disable


def test_wheel_holds_every_module_and_data_file(wheel):
    name, archive = wheel
    assert re.fullmatch(rf'dic_plugin-{re.escape(dic_plugin.__version__)}-cp3\d+-cp3\d+-\w+\.whl', name)
    held = set(archive.namelist())
    wanted = {f.relative_to(ROOT).as_posix() for f in (ROOT / 'dic_plugin').rglob('*') if f.is_file()}
    assert {f for f in wanted if '__pycache__' not in f and Path(f).suffix not in ('.so', '.pyd', '.cpp', '.h')} <= held
    built = [f for f in held if f.startswith('dic_plugin/ops/_conv_act') and f.endswith(('.so', '.pyd'))]
    # without a compiler that has OpenMP it is left out; the usual ones of macOS have none
    assert len(built) == 1 or not shutil.which('c++') or sys.platform != 'linux'
    options = {f.name for f in (ROOT / 'options').rglob('*.yml')}
    assert options == {Path(f).name for f in held if f.endswith('.yml') and '/share/dic_plugin/options/' in f}


def test_wheel_holds_nothing_but_the_package(wheel):
    top = {name.split('/')[0] for name in wheel[1].namelist()}
    assert {name for name in top if not name.startswith(f'dic_plugin-{dic_plugin.__version__}.')} == {'dic_plugin'}


def test_wheel_brings_the_commands_and_what_they_need(wheel):
    info = f'dic_plugin-{dic_plugin.__version__}.dist-info/'
    commands = wheel[1].read(info + 'entry_points.txt').decode()
    assert 'dic-train = dic_plugin.launch:train' in commands and 'dic-test = dic_plugin.launch:test' in commands
    for name in ('infer', 'prepare', 'check', 'convert', 'evaluate', 'benchmark', 'export', 'demo'):
        assert f'dic-{name} = dic_plugin.cli.{name}:main\n' in commands + '\n'
    metadata = wheel[1].read(info + 'METADATA').decode()
    required = {re.match(r'[\w-]+', line).group() for line in re.findall(r'^Requires-Dist: (.*)$', metadata, re.M)}
    assert {'torch', 'torchvision', 'lmdb', 'opencv-python', 'addict', 'yapf'} <= required
    oldest = '.'.join(map(str, version.OLDEST_PYTHON))
    assert f'Requires-Python: >={oldest}\n' in metadata
    named = re.findall(r'^Classifier: Programming Language :: Python :: (3\.\d+)$', metadata, re.M)
    assert (named[0], named[-1]) == (oldest, '.'.join(map(str, version.NEWEST_PYTHON)))
    assert f'Requires-Dist: torch>={version.OLDEST_TORCH}\n' in metadata


def test_documents_and_workflow_name_the_versions():
    oldest, newest = ('.'.join(map(str, each)) for each in (version.OLDEST_PYTHON, version.NEWEST_PYTHON))
    assert f'Python {oldest} to {newest}' in (ROOT / 'README.md').read_text(encoding='utf-8')
    workflow = (ROOT / '.github/workflows/ci.yml').read_text(encoding='utf-8')
    assert f"'{oldest}'" in workflow and f"'{newest}'" in workflow and f'torch=={version.OLDEST_TORCH}.' in workflow
