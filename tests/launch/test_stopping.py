"""Early ends of runs: by signals, with everything saved; by failures, with one readable message."""
import logging
import os
import re
import signal
from pathlib import Path

import pytest

from helpers.training_process import finish, iterations, run, start, wait_for_iteration, write_options

pytestmark = pytest.mark.slow

LONG = dict(train=dict(total_iter=100000), datasets__train__batch_size_per_gpu=1)


@pytest.mark.parametrize(
    'signum, processes, to_all',
    [
        (signal.SIGTERM, 0, True),  # as schedulers and timeout send it: to loader workers as well
        (signal.SIGUSR1, 0, False),
        (signal.SIGINT, 0, True),  # as a terminal sends it
        (signal.SIGTERM, 2, False),
        (signal.SIGINT, 2, True),
        (signal.SIGUSR1, 2, True),
    ])
def test_signals_save_and_stop(tmp_path, signum, processes, to_all):
    write_options(tmp_path, datasets__train__num_worker_per_gpu=2 if to_all else 0, **LONG)
    process = start(tmp_path, processes=processes)
    wait_for_iteration(process, tmp_path, 3)
    if processes and signum == signal.SIGUSR1:  # torchrun itself ends by it: it is meant for its processes
        for child in children(process.pid):
            os.kill(child, signum)
    elif to_all:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    # torchrun's own status says only that it was stopped
    said = finish(process, code=128 + signum if not processes else process.wait(60))
    assert process.returncode != 0
    stopped = int(re.search(r'Stopped by SIG\w+ after iteration (\d+) of 100000; network and training state are saved',
                            said)[1])  # yapf: disable
    assert said.count('Stopped by') == 1 and 'not saved' not in said
    folder = tmp_path / 'experiments/tiny'
    assert (folder / f'models/net_g_{stopped}.pth').is_file()
    assert (folder / f'training_states/{stopped}.state').is_file()
    if signum == signal.SIGTERM:
        log = run(tmp_path, '--auto_resume', '--force_yml', f'train:total_iter={stopped + 1}')
        assert iterations(log) == [stopped + 1]


def children(pid):
    return list(map(int, Path(f'/proc/{pid}/task/{pid}/children').read_text().split()))


def test_a_killed_process_ends_the_run_within_a_minute(tmp_path):
    write_options(tmp_path, **LONG)
    process = start(tmp_path, processes=2)
    wait_for_iteration(process, tmp_path, 3)
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    said = finish(process, code=1, timeout=60)
    assert 'SIGKILL' in said


def test_a_failing_process_says_what_failed_where(tmp_path):
    write_options(tmp_path, **LONG)
    prepare = '''
from dic_plugin.data.synthetic_face_dataset import SyntheticFaceDataset as Dataset
plain = Dataset.__getitem__
def broken(self, index):
    if os.environ['RANK'] == '1' and index == 7:
        raise ValueError('face 7 is no image')
    return plain(self, index)
Dataset.__getitem__ = broken
'''
    process = start(tmp_path, processes=2, prepare=prepare)
    said = finish(process, code=1, timeout=120)
    assert len(re.findall(r'^Error on rank 1 of 2 \(\S+\): ValueError: face 7 is no image$', said, re.M)) == 1


def test_wrong_options_are_said_once(tmp_path):
    write_options(tmp_path, train=dict(total_itr=5))
    said = finish(start(tmp_path, processes=2), code=1)
    assert said.count("Error in the options: train:total_itr: no such option; did you mean 'total_iter'?") == 1
    assert not (tmp_path / 'experiments').exists()


def test_a_checkpoint_that_cannot_be_written_is_not_called_saved(tmp_path):
    write_options(tmp_path, **LONG)
    process = start(tmp_path)
    wait_for_iteration(process, tmp_path, 3)
    models = tmp_path / 'experiments/tiny/models'
    models.rmdir()
    models.touch()  # a file where the folder was: no permission needs to be taken from root
    process.send_signal(signal.SIGTERM)
    said = finish(process, code=1, timeout=60)
    assert re.search(r'^Error: iteration \d+ could not be saved in .*experiments/tiny; the log says why\.$', said, re.M)
    assert 'are saved' not in said


def test_a_log_that_cannot_be_written_gives_no_traceback(train, option_file, monkeypatch):
    """As on a full disk."""

    def flush(handler):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(logging.FileHandler, 'flush', flush, raising=False)
    status, said = train('-opt', option_file())
    assert status == 0 and 'Traceback' not in said and logging.raiseExceptions
