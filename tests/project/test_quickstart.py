"""The README's first command, in its minute-long form."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(sys.prefix, '.dic_plugintests').is_file(),
        reason='this environment was not made by scripts/setup_env.sh, so quickstart.sh would install into it')
]


def quickstart(root, *arguments, code=0):
    env = dict(os.environ, DIC_VENV=sys.prefix, DIC_ROOT=str(root), OMP_NUM_THREADS='1')
    command = ['bash', str(ROOT / 'scripts/quickstart.sh'), *arguments]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == code, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.mark.timeout(900)  # three quick starts
def test_smoke_trains_tests_and_can_be_run_again(tmp_path):
    said = quickstart(tmp_path, '--smoke')
    hourglass, models = (tmp_path / f'experiments/{name}_smoke/models' for name in ('train_hourglass', 'train_DIC'))
    for folder in (hourglass, models):
        assert f'[quickstart] training in experiments/{folder.parent.name}\n' in said
    log = next(models.parent.glob('train_*.log')).read_text()  # tells what DIC starts from
    assert f'from experiments/{hourglass.parent.name}/models/net_g_latest.pth' in log
    table = said[said.index('[quickstart] measured'):]
    assert 'psnr' in table and 'bicubic' in table and 'step 1' in table
    pictures = Path(said.rsplit('[quickstart] pictures: ', 1)[1].splitlines()[0])
    assert len(list(pictures.rglob('*.png'))) == 8  # for each of 4 faces, the result and the strip of all steps
    assert 'trained on synthetic (SyntheticFaceDataset)' in said  # inference reads what training has recorded
    faces, strips = said.rsplit('[quickstart] restored faces: ', 1)[1].splitlines()[0].split('; step by step: ')
    assert len(list(Path(faces).glob('*.png'))) == len(list(Path(strips).glob('*.png'))) == 4
    photo = Path(said.rsplit('[quickstart] restored photograph: ', 1)[1].strip())
    assert photo.is_file() and 'the shipped weights DIC_photos' in said

    (models / 'net_g_latest.pth').unlink()  # as if it had been stopped after the last checkpoint
    said = quickstart(tmp_path, '--smoke')
    assert f'[quickstart] resuming the training in experiments/{models.parent.name}\n' in said
    assert f'[quickstart] already trained: experiments/{hourglass.parent.name} ' in said
    assert said.count('[quickstart] already trained') == 1 and (models / 'net_g_latest.pth').is_file()
    assert quickstart(tmp_path, '--smoke').count('[quickstart] already trained') == 2


def test_unknown_arguments_are_refused(tmp_path):
    quickstart(tmp_path, '--smok', code=2)
    assert not list(tmp_path.iterdir())
