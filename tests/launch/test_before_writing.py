"""Impossible options are refused before anything is created, renamed or written; others are read as meant."""
import os

import pytest
import torch
import yaml


@pytest.fixture
def kept(tmp_path):
    """A finished experiment of the run's name, which a failing start must not touch."""
    folder = tmp_path / 'experiments/toy/models'
    folder.mkdir(parents=True)
    (folder / 'net_g_latest.pth').write_text('weeks of work')
    return tmp_path / 'experiments'


def untouched(experiments):
    return [str(path.relative_to(experiments))
            for path in sorted(experiments.rglob('*'))] == ['toy', 'toy/models', 'toy/models/net_g_latest.pth']


@pytest.mark.parametrize('forced, said', [
    ('num_gpu=1', 'num_gpu is 1, but torch finds 0 GPUs here; expected auto, or 0 for the CPU.'),
    ('num_gpu=-1', 'num_gpu is -1; expected auto'),
    ('datasets:train:prefetch_mode=cuda', 'datasets:train:prefetch_mode is cuda, but the run is on the CPU'),
    ('datasets:train:prefetch_mode=gpu', "datasets:train:prefetch_mode is 'gpu'; expected cpu or cuda."),
    ('datasets:train:num_worker_per_gpu=-1', 'num_worker_per_gpu is -1; expected a whole number of at least 0.'),
    ('datasets:train:num_worker_per_gpu=99999999999', 'num_worker_per_gpu is 99999999999; expected at most'),
    ('datasets:train:num_worker_per_gpu=~', 'datasets:train:num_worker_per_gpu: missing'),
    ('datasets:train:batch_size_per_gpu=0', 'batch_size_per_gpu is 0; expected a whole number of at least 1'),
    ('datasets:train:batch_size_per_gpu=2.5', 'batch_size_per_gpu is 2.5; expected a whole number'),
    ('datasets:train:use_hflip=perhaps', "use_hflip is 'perhaps'; expected true or false."),
    ('datasets:train:dataroot_gt=faces', "dataroot_gt is 'faces'; expected none: SyntheticFaceDataset draws its faces"),
    ('datasets:train:gt_size=512', 'gt_size is 512; expected a whole number of at least 32 and of at most 256.'),
    ('name=../up', "name is '../up'; expected the name of a folder"),
    ('name=a/b', "name is 'a/b'; expected the name of a folder"),
    ('datasets:train=x', "datasets:train: expected options (`key: value` lines), got 'x'"),
    ('train:total_iter=1e99', 'train:total_iter is '),
    ('train:total_iter=nine', "train:total_iter is 'nine'; expected a whole number of at least 1"),
    ('train:total_iter=0', 'train:total_iter is 0'),
    ('train:optim_g:lr=fast', "train:optim_g:lr is 'fast'; expected a number"),
    ('train:warmup_iter=-2', 'train:warmup_iter is -2; expected a whole number of at least -1.'),
    ('network_g:num_feat=wide', "network_g:num_feat is 'wide'; expected a number"),
    ('path:pretrain_network_g=missing.pth', 'missing.pth'),
    ('path:resume_state=missing.state', 'path:resume_state: missing.state: no such file'),
    ('name=001', "name is 1; expected text, in quotes where it looks like a number, such as '001'."),
    ('model_type=DICModell', "model_type: DICModell: no such model; did you mean 'DICModel'?"),
])
def test_what_cannot_be_is_refused(train, option_file, kept, monkeypatch, forced, said):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    status, message = train('-opt', option_file(), '--force_yml', forced)
    assert (status, message.count('\n')) == (2, 1), message
    assert said in message
    assert untouched(kept)


def test_a_results_folder_that_cannot_be_written(train, option_file, tmp_path):
    (tmp_path / 'experiments').touch()  # a file in its place: no permission needs to be taken from root
    status, message = train('-opt', option_file())
    assert status == 2 and 'name: what the run writes goes to ' in message and 'where nothing can be written' in message


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write everywhere')
def test_a_read_only_results_folder(train, option_file, tmp_path):
    (tmp_path / 'experiments').mkdir(mode=0o500)
    status, message = train('-opt', option_file())
    assert status == 2 and 'where nothing can be written (Permission denied)' in message


@pytest.mark.parametrize('forced, key, meant', [
    ('train:total_iter=1e0', 'total_iter', '1'),
    ('train:optim_g:lr=1e-4', 'lr', '0.0001'),
    ('train:warmup_iter=-1', 'warmup_iter', '-1'),
    ('datasets:train:use_hflip=no', 'use_hflip', 'False'),
    ("name='toy'", 'name', 'toy'),
])
def test_what_is_meant_is_read(train, option_file, tmp_path, forced, key, meant):
    status, message = train('-opt', option_file(), '--force_yml', forced)
    assert status == 0, message
    log = next((tmp_path / 'experiments/toy').glob('train_toy_*.log')).read_text()
    assert f' {key}: {meant}\n' in log


def test_text_in_the_file_that_means_a_number(train, option_file, tmp_path):
    """YAML 1.1 reads 1e-4 as text, for want of a dot."""
    path = option_file()
    path.write_text(path.read_text().replace('lr: 0.001', 'lr: 1e-4').replace('total_iter: 2', 'total_iter: 2e0'))
    assert isinstance(yaml.safe_load(path.read_text().split('\n', 1)[1])['train']['optim_g']['lr'], str)
    assert train('-opt', path)[0] == 0
    state = torch.load(tmp_path / 'experiments/toy/training_states/2.state', weights_only=True)
    assert state['optimizers'][0]['param_groups'][0]['initial_lr'] == 1e-4


def test_a_schedule_shorter_than_the_training_is_stretched(train, option_file, tmp_path):
    """BasicSR's crashed at the iteration after its last period."""
    scheduler = dict(type='CosineAnnealingRestartLR', periods=[2], restart_weights=[1], eta_min=0)
    options = yaml.safe_load(option_file().read_text().split('\n', 1)[1])
    path = option_file(train=dict(options['train'], scheduler=scheduler))
    assert train('-opt', path, '--force_yml', 'train:total_iter=5')[0] == 0
    log = next((tmp_path / 'experiments/toy').glob('train_toy_*.log')).read_text()
    assert 'train:scheduler:periods [2] end before train:total_iter 5; stretched to [5].' in log
    assert train('-opt', path, '--auto_resume', '--force_yml', 'train:total_iter=9')[0] == 0
    state = torch.load(tmp_path / 'experiments/toy/training_states/9.state', weights_only=True)
    assert state['schedulers'][0]['cumulative_period'] == [9]


def test_no_workers_are_no_persistent_ones(train, option_file, tmp_path):
    status, message = train('-opt', option_file(), '--force_yml', 'datasets:train:persistent_workers=true')
    assert status == 0, message
    log = next((tmp_path / 'experiments/toy').glob('train_toy_*.log')).read_text()
    assert 'datasets:train:persistent_workers has no effect: num_worker_per_gpu is 0.' in log


def test_the_old_name_of_the_hourglass_is_read(train, option_file, tmp_path):
    """In option files written before. BasicSR makes a folder of an option of that name."""
    options = yaml.safe_load(option_file().read_text().split('\n', 1)[1])
    path = option_file(path=dict(options['path'], pretrain_hourglass=str(tmp_path / 'hourglass.pth')))
    assert train('-opt', path)[0] == 0
    log = next((tmp_path / 'experiments/toy').glob('train_toy_*.log')).read_text()
    assert 'path:pretrain_hourglass is called pretrain_network_hourglass now, and read as that.' in log
    assert f'    pretrain_network_hourglass: {tmp_path}/hourglass.pth' in log
    assert not (tmp_path / 'hourglass.pth').exists()


def test_wandb_that_is_not_installed(train, option_file, kept, monkeypatch):
    monkeypatch.setattr('dic_plugin.launch.machine_check.find_spec', lambda name: None)
    options = yaml.safe_load(option_file().read_text().split('\n', 1)[1])
    path = option_file(logger=dict(options['logger'], use_tb_logger=True, wandb=dict(project='faces')))
    status, message = train('-opt', path)
    assert status == 2 and "logger:wandb:project is 'faces', but wandb is not installed" in message
    assert untouched(kept)
