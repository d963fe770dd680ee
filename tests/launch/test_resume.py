"""The training state from which a run resumes, and the errors if there is none."""
import pickle
from collections import Counter
from pathlib import Path

import pytest
import torch

from dic_plugin.launch.resume import load_resume_state
from dic_plugin.utils.option_values import OptionError


def resume_options(folder, **path):
    return {
        'auto_resume': True,
        'is_train': True,
        'train': {
            'total_iter': 2000
        },
        'network_g': {},
        'path': dict(path, training_states=str(folder), models=str(folder), resume_state=path.get('resume_state'))
    }


def save_state(path, iteration):
    schedulers = [{'milestones': Counter([1, 2])}]
    torch.save({
        'epoch': 0,
        'iter': iteration,
        'optimizers': [{
            'step': torch.zeros(1)
        }],
        'schedulers': schedulers
    }, path)
    torch.save({'params': {}}, path.with_name(f'net_g_{iteration}.pth'))


def test_auto_resume_takes_the_last_state(tmp_path):
    for iteration in (900, 1000, 20):
        save_state(tmp_path / f'{iteration}.state', iteration)
    opt = resume_options(tmp_path)
    state = load_resume_state(opt)
    assert state['iter'] == 1000 and state['schedulers'][0]['milestones'] == Counter([1, 2])
    assert opt['path']['resume_state'] == str(tmp_path / '1000.state')
    assert opt['path']['pretrain_network_g'] == str(tmp_path / 'net_g_1000.pth')


def test_auto_resume_passes_over_a_state_cut_short(tmp_path, capsys):
    save_state(tmp_path / '1.state', 1)
    save_state(tmp_path / '2.state', 2)
    whole = (tmp_path / '2.state').read_bytes()
    (tmp_path / '2.state').write_bytes(whole[:len(whole) // 2])
    assert load_resume_state(resume_options(tmp_path))['iter'] == 1
    assert '2.state: cannot be read as a checkpoint' in capsys.readouterr().err


def test_nothing_to_resume_from(tmp_path):
    assert load_resume_state(resume_options(tmp_path / 'none')) is None
    assert load_resume_state(resume_options(tmp_path)) is None
    assert load_resume_state(dict(resume_options(tmp_path), auto_resume=False)) is None


class Harmful:

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path, )


@pytest.mark.parametrize('content', ['missing', 'not a state', 'code', 'empty', 'text'])
def test_a_state_that_is_none(tmp_path, content):
    path = tmp_path / '1.state'
    if content == 'not a state':
        torch.save({'params': {}}, path)
    elif content == 'empty':
        path.touch()
    elif content == 'text':
        path.write_text('iter: 1')
    elif content == 'code':
        path.write_bytes(pickle.dumps(Harmful(tmp_path / 'ran'), protocol=2))
    opt = dict(resume_options(tmp_path, resume_state=str(path)), auto_resume=False)
    with pytest.raises(
            OptionError, match=r'^path:resume_state: .*1\.state: (cannot be read|not a training state|no such file)'):
        load_resume_state(opt)
    assert not (tmp_path / 'ran').exists()


def test_training_is_resumed_without_a_gpu(train, option_file, tmp_path):
    assert train('-opt', option_file())[0] == 0
    assert train('-opt', option_file(), '--auto_resume', '--force_yml', 'train:total_iter=4')[0] == 0
    state = torch.load(tmp_path / 'experiments/toy/training_states/4.state', weights_only=True)
    assert state['iter'] == 4 and state['optimizers'][0]['state'][0]['step'] == 4


def test_a_state_whose_network_is_gone_is_passed_over(tmp_path, capsys):
    for iteration in (1, 2, 3):
        save_state(tmp_path / f'{iteration}.state', iteration)
    (tmp_path / 'net_g_3.pth').unlink()
    (tmp_path / 'net_g_2.pth').write_bytes((tmp_path / 'net_g_2.pth').read_bytes()[:100])
    assert load_resume_state(resume_options(tmp_path))['iter'] == 1
    said = capsys.readouterr().err
    assert 'net_g_3.pth is gone' in said and 'net_g_2.pth is cut off' in said


@pytest.mark.parametrize('spoil', ['empty', 'text', 'without its network'])
def test_states_that_cannot_be_used_are_an_error_and_never_a_new_beginning(train, option_file, tmp_path, spoil):
    """Today's BasicSR would put the experiment aside and begin again."""
    assert train('-opt', option_file())[0] == 0
    experiment = tmp_path / 'experiments/toy'
    for state in (experiment / 'training_states').iterdir():
        if spoil == 'without its network':
            (experiment / f'models/net_g_{state.stem}.pth').unlink()
        else:
            state.write_text('' if spoil == 'empty' else 'iter: 1')
    before = files_below(tmp_path)
    status, said = train('-opt', option_file(), '--auto_resume')
    assert status == 2
    assert 'Error in the options: --auto_resume: none of the 2 training states in ' in said
    assert files_below(tmp_path) == before


def files_below(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*') if path.is_file() and path.suffix != '.yml'}


def test_a_state_of_an_experiment_with_another_name(train, option_file, tmp_path):
    assert train('-opt', option_file())[0] == 0
    state = tmp_path / 'experiments/toy/training_states/2.state'
    before = files_below(tmp_path)
    status, said = train('-opt', option_file(), '--force_yml', 'name=new', f'path:resume_state={state}',
                         'train:total_iter=3')  # yapf: disable
    assert status == 0, said
    new = tmp_path / 'experiments/new'
    assert torch.load(new / 'training_states/3.state', weights_only=True)['optimizers'][0]['state'][0]['step'] == 3
    assert (new / 'models/net_g_3.pth').is_file() and (new / 'toy.yml').is_file()
    assert {path: time for path, time in files_below(tmp_path).items() if path in before} == before


@pytest.mark.parametrize('change', [
    'datasets:train:batch_size_per_gpu=1', 'datasets:train:batch_size_per_gpu=4',
    'datasets:train:dataset_enlarge_ratio=3', 'datasets:train:num_images=7'
])  # yapf: disable
def test_a_run_goes_on_at_the_next_iteration_with_other_data_options(train, option_file, tmp_path, change):
    assert train('-opt', option_file(), '--force_yml', 'train:total_iter=5')[0] == 0
    status, said = train('-opt', option_file(), '--auto_resume', '--force_yml', 'train:total_iter=9', change)
    assert status == 0, said
    state = torch.load(tmp_path / 'experiments/toy/training_states/9.state', weights_only=True)
    assert state['optimizers'][0]['state'][0]['step'] == 9
    assert not (tmp_path / 'experiments/toy/training_states/10.state').exists()
