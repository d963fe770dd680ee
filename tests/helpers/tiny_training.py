"""Any of the recipes with a tiny network, for tests of what all training models share."""
import os
from contextlib import contextmanager

import torch
import yaml
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from basicsr.utils.options import ordered_yaml
from torch.nn.parallel import DistributedDataParallel

from dic_plugin.launch.resume import load_resume_state
from helpers.paths import OPTIONS

TINY = dict(num_feat=4, num_groups=2, num_steps=2, hg_num_feat=8, num_fusion_block=1, projection_scale=2)
NETWORKS = {
    'train_DIC': dict(type='DIC', hg_from_scratch=True, **TINY),
    'train_DICGAN': dict(type='DIC', hg_from_scratch=True, **TINY),
    'train_hourglass': dict(type='FeedbackHourglass', hg_num_feat=8, from_scratch=True),
    'train_landmarks': dict(type='StackedHourglass', num_feat=8, num_stacks=2),
}


def options(tmp_path, recipe='train_DIC', is_train=True, train=(), path=(), network=(), val=(), num_gpu=0, **top):
    """A shipped recipe's options as BasicSR parses them, shrunk to images of 64x64, with changes per section."""
    with open(os.path.join(OPTIONS, f'{recipe}.yml')) as file:
        opt = yaml.load(file, Loader=ordered_yaml()[0])
    opt['network_g'] = {**NETWORKS[recipe], **dict(network)}
    if recipe == 'train_DICGAN':
        opt['network_d'] = dict(type='LightCNNDiscriminator', input_size=64, subtract_mean=True, num_feat=3)
        opt['train'].update(net_d_init_iters=1)
    if 'input_views' in opt['train']:
        opt['train']['input_views'] = ['sharp']  # others are drawn at random, which resuming does not continue
    opt['train'].update(train)
    opt['path'] = dict(
        models=str(tmp_path), training_states=str(tmp_path), visualization=str(tmp_path / 'pictures'), **dict(path))
    opt['val'].update({'batch_size': 2, **dict(val)})
    opt.update(is_train=is_train, num_gpu=num_gpu, dist=False, rank=0, world_size=1, root_path=str(tmp_path))
    opt.update(auto_resume=False, **top)
    for phase, dataset in opt['datasets'].items():
        dataset.update(phase=phase, scale=opt['scale'], num_images=3, gt_size=64)
    return opt


def build(opt):
    torch.manual_seed(0)
    return build_model(opt)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return dict(
        lq=torch.rand(2, 3, 8, 8, generator=generator),
        gt=torch.rand(2, 3, 64, 64, generator=generator),
        landmarks=64 * torch.rand(2, 68, 2, generator=generator),
        lq_path=['face_0.png', 'face_1.png'])


def step(model, iterations):
    for current_iter in iterations:
        model.update_learning_rate(current_iter, warmup_iter=-1)
        model.feed_data(batch(current_iter))
        model.optimize_parameters(current_iter)


def resume(tmp_path, recipe, current_iter, **changes):
    path = dict(resume_state=str(tmp_path / f'{current_iter}.state'))
    opt = options(tmp_path, recipe, path=path, **changes)
    state = load_resume_state(opt)
    model = build(opt)
    model.resume_training(state)
    return model


class Writer:
    """Stands in for TensorBoard's."""

    def __init__(self):
        self.scalars = {}

    def add_scalar(self, name, value, iteration):
        self.scalars[name] = value


def validate(model, opt, writer=None, save_img=False):
    dataset = opt['datasets']['val']
    loader = build_dataloader(build_dataset(dataset), dataset, num_gpu=0, dist=False, sampler=None, seed=0)
    model.validation(loader, 5, writer, save_img)
    return model.metric_results


def weights(model, part='', labels=('net_g', 'net_g_ema', 'net_d')):
    networks = [model.get_bare_model(getattr(model, label)) for label in labels if hasattr(model, label)]
    return [value.clone() for net in networks for key, value in net.state_dict().items() if key.startswith(part)]


def same(first, second):
    return len(first) == len(second) and all(torch.equal(*pair) for pair in zip(first, second))


@contextmanager
def one_process(tmp_path, model):
    """The networks under DistributedDataParallel."""
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        for label in ('net_g', 'net_d'):
            if hasattr(model, label):
                setattr(model, label, DistributedDataParallel(getattr(model, label)))
        yield
    finally:
        torch.distributed.destroy_process_group()
