"""Several processes train and test as one does: real processes, as torchrun and SLURM start them, on gloo."""
import os

import pytest
import torch

from helpers import training_process
from helpers.training_process import (
    figures,
    finish,
    free_port,
    iterations,
    largest_difference,
    ranks,
    run,
    start,
    write_options,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def folders(tmp_path):
    """Folders for runs of one process and of two."""
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    return tmp_path / 'one', tmp_path / 'two'


def test_gradient_of_two_batches_of_4_is_that_of_one_of_8(folders):
    gradients = []
    for processes, (folder, batch) in enumerate(zip(folders, (8, 4)), 1):
        write_options(
            folder, train=dict(total_iter=1), datasets__train__batch_size_per_gpu=batch,
            datasets__train__use_hflip=False)  # yapf: disable
        process = start(folder, processes=processes if processes > 1 else 0)  # two by torchrun
        assert iterations(finish(process)) == [1]
        gradients.append(ranks(folder, [0])[0]['gradient'])
    assert largest_difference(*gradients) < 1e-6
    assert max(float(gradient.abs().max()) for gradient in gradients[0].values()) > 1e-3


@pytest.mark.parametrize('recipe, nets', [
    ('train_DIC', ['net_g', 'net_g_ema']),
    ('train_hourglass', ['net_g', 'net_g_ema']),
    ('train_DICGAN', ['net_d', 'net_g', 'net_g_ema']),
])
def test_processes_stay_equal_and_one_or_two_resume(tmp_path, recipe, nets):
    if recipe == 'train_DICGAN':  # the generator learns from the first iteration on, from nothing
        write_options(
            tmp_path, recipe, network_d__num_feat=3, path__pretrain_network_g=None,
            train=dict(net_d_init_iters=0, release_hourglass_iter=0, ema_decay=0.9))  # yapf: disable
    else:
        write_options(tmp_path, recipe)
    log = run(tmp_path, processes=2)
    assert iterations(log) == [1, 2, 3, 4]
    first, second = ranks(tmp_path)
    assert sorted(first) == ['gradient', *nets]
    for net in nets:
        parameters = {
            name: tensor
            for name, tensor in first[net].items() if not name.endswith(('_mean', '_var', 'ked'))
        }
        if net == 'net_g_ema':
            parameters = first[net]  # statistics of batch norms, too
        assert largest_difference(parameters, {name: second[net][name] for name in parameters}) == 0
    trained, reached = first['net_g'], 4
    for processes, total_iter in ((2, 5), (0, 7))[recipe != 'train_DIC':]:  # the others by one process only
        log = run(tmp_path, '--auto_resume', '--force_yml', f'train:total_iter={total_iter}', processes=processes)
        assert iterations(log) == list(range(reached + 1, total_iter + 1))
        reached = total_iter
        state = torch.load(tmp_path / f'experiments/tiny/training_states/{total_iter}.state', weights_only=True)
        assert {int(value['step']) for value in state['optimizers'][0]['state'].values()} == {total_iter}
        assert 0 < largest_difference(trained, ranks(tmp_path, [0])[0]['net_g']) < 0.1


def test_five_images_are_tested_by_two_processes_as_by_one(folders):
    from basicsr.utils.registry import ARCH_REGISTRY
    torch.manual_seed(0)
    net = ARCH_REGISTRY.get('DIC')(
        hg_from_scratch=True, detach_attention=False, **training_process.NETWORKS['train_DIC'])
    weights = folders[0].parent / 'net.pth'
    torch.save({'params': net.state_dict(), 'params_ema': net.state_dict()}, weights)
    logs, pictures = [], []
    for processes, folder in enumerate(folders, 1):
        write_options(folder, 'test_DIC', datasets__test__num_images=5, path__pretrain_network_g=str(weights),
                      val__save_img=True)  # yapf: disable
        logs.append(run(folder, what='test', processes=processes if processes > 1 else 0))
        written = folder / 'results/tiny/visualization'
        pictures.append({str(file.relative_to(written)): file.read_bytes() for file in written.rglob('*.*')})
        assert len(list(folder.rglob('*.log'))) == 1
    assert figures(logs[0]) == figures(logs[1]) and len(figures(logs[0])) >= 3
    assert 'synthetic, 5 images' in logs[0].lower().replace('syntheticfaces', 'synthetic') or '5 images' in logs[0]
    assert logs[1].count('5 images') == 1
    assert pictures[0] == pictures[1] and len(pictures[0]) == 2 * 5 + 1  # SR image and strip of each, landmarks


def test_slurm(tmp_path):
    """srun's environment, and a scontrol that knows one machine."""
    write_options(tmp_path)
    tools = tmp_path / 'bin'
    tools.mkdir()
    (tools /
     'scontrol').write_text('#!/bin/sh\ntest "$*" = "show hostnames node[1-2]" && echo localhost && echo node2\n')
    (tools / 'scontrol').chmod(0o755)
    port = free_port()
    processes = [
        start(tmp_path, '--launcher', 'slurm', '--force_yml', f'dist_params:port={port}', env=dict(
            SLURM_PROCID=str(rank), SLURM_NTASKS='2', SLURM_LOCALID='0', SLURM_NODELIST='node[1-2]',
            PATH=f'{tools}:{os.environ["PATH"]}', RANK=str(rank))) for rank in range(2)]  # yapf: disable
    logs = [finish(process) for process in processes]
    assert iterations(logs[0]) == [1, 2, 3, 4] and iterations(logs[1]) == []
    first, second = ranks(tmp_path)
    assert largest_difference(first['net_g_ema'], second['net_g_ema']) == 0


@pytest.mark.parametrize('missing, said', [
    ('SLURM_NTASKS', '--launcher slurm: SLURM_NTASKS is not set; expected a start by srun.'),
    ('scontrol', 'scontrol, which names the first machine, is not installed; expected it, or MASTER_ADDR'),
])
def test_slurm_that_is_none(train, option_file, monkeypatch, tmp_path, missing, said):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):  # put back afterwards
        monkeypatch.setenv(name, '0')
        monkeypatch.delenv(name)
    for name in ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'):
        if name != missing:
            monkeypatch.setenv(name, '0')
    monkeypatch.setenv('PATH', str(tmp_path))
    status, message = train('-opt', option_file(), '--launcher', 'slurm')
    assert status == 2 and said in message and message.count('\n') == 1
