"""N iterations equal K and N - K resumed ones to the last bit, also in the middle of an epoch."""
import shutil

import pytest
import torch

from helpers.training_process import run, write_options

ITERATIONS, STOP = 5, 3  # nine faces in batches of four: an epoch has two iterations
CASES = {
    'DIC, two workers': ('train_DIC', dict(datasets__train__num_worker_per_gpu=2)),
    'DIC, bfloat16, frozen hourglass': ('train_DIC', dict(amp='bf16', train=dict(release_hourglass_iter=4))),
    'DICGAN': ('train_DICGAN', dict(network_d__num_feat=3, train=dict(net_d_init_iters=1))),
    'FeedbackHourglass, random views': ('train_hourglass', dict(network_g__hg_num_feat=8)),
    'StackedHourglass': ('train_landmarks', {}),
}


def options(folder, recipe, train=(), **changes):
    schedule = dict(total_iter=ITERATIONS, ema_decay=0.9, warmup_iter=2, **dict(train))
    return write_options(
        folder, recipe, schedule, path__pretrain_network_g=None, logger__save_checkpoint_freq=STOP, **changes)


def content(folder):
    """Return every tensor and number that the run has saved at its last iteration."""
    experiment = folder / 'experiments/tiny'
    files = [*experiment.glob(f'models/net_?_{ITERATIONS}.pth'), experiment / f'training_states/{ITERATIONS}.state']
    return {file.name: torch.load(file, weights_only=True) for file in files}


def assert_equal(first, second, where=''):
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            if key != 'date':
                assert_equal(first[key], second[key], f'{where}/{key}')
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for number, (one, other) in enumerate(zip(first, second)):
            assert_equal(one, other, f'{where}/{number}')
    else:
        assert first == second, where


def forget_the_end(folder):
    """Leave of a run what one that was killed after iteration STOP has saved."""
    experiment = folder / 'experiments/tiny'
    for file in [*experiment.glob(f'*/*_{ITERATIONS}.*'), *experiment.glob('models/*latest*')]:
        file.unlink()
    (experiment / f'training_states/{ITERATIONS}.state').unlink()


@pytest.mark.parametrize('case', CASES)
def test_a_resumed_run_repeats_an_undisturbed_one(train, tmp_path, case):
    recipe, changes = CASES[case]
    path = options(tmp_path, recipe, **changes)
    status, said = train('-opt', path)
    assert status == 0, said
    whole = content(tmp_path)
    assert len(whole) == (3 if recipe == 'train_DICGAN' else 2)
    forget_the_end(tmp_path)
    torch.manual_seed(123)  # what was drawn before does not matter
    assert train('-opt', path, '--auto_resume')[0] == 0
    assert_equal(whole, content(tmp_path))
    shutil.rmtree(tmp_path / 'experiments')
    assert train('-opt', path, '--force_yml', 'manual_seed=1')[0] == 0
    with pytest.raises(AssertionError):  # the comparison can fail
        assert_equal(whole, content(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize('recipe', ['train_DIC', 'train_landmarks'])
def test_two_processes(tmp_path, recipe):
    options(tmp_path, recipe, datasets__train__batch_size_per_gpu=2, datasets__train__num_worker_per_gpu=1)
    run(tmp_path, processes=2)
    whole = content(tmp_path)
    forget_the_end(tmp_path)
    run(tmp_path, '--auto_resume', processes=2)
    assert_equal(whole, content(tmp_path))
