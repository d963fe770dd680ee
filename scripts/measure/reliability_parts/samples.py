"""A valid file of every kind that a user hands over, with the command that reads it."""
import csv
import pickle
import shutil
import sys
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

import numpy as np
import torch
import yaml
from PIL import Image
from reliability_parts.forked import run_forked
from reliability_parts.mutations import ANY, ARRAYS, IMAGE, PICKLE, TEXT, WEIGHTS, Mutation

from dic_plugin import launch
from dic_plugin.archs import DIC
from dic_plugin.checkpoints.files import save_safetensors
from dic_plugin.cli import check, convert, evaluate, export, infer, prepare
from dic_plugin.synthetic import draw_face

NETWORK = dict(
    type='DIC', num_feat=4, num_groups=2, num_steps=2, hg_num_feat=8, num_fusion_block=1, projection_scale=2,
    hg_from_scratch=True)  # yapf: disable
IMAGES = ('png', 'jpg', 'webp', 'bmp', 'tif', 'gif', 'ppm', 'avif', 'jp2')
FACE, PHOTO, NUM = 64, (150, 120), 3


class Sample(NamedTuple):
    """A kind of input.

    Attributes:
        file: The file to spoil, in the folder of valid files.
        run: Runs the command, in a copy of that folder; returns its status. Results go to ``out``.
        mutations: What may happen to the file.
        names: Words of which the command's message must hold one, if not the file's name: an option's, say.
    """
    file: str
    run: Callable[[], Optional[int]]
    mutations: Dict[str, Mutation]
    names: tuple = ()


def command(main: Callable, *arguments: str) -> Callable[[], Optional[int]]:
    return lambda: main(list(arguments))


def launched(function: Callable, *arguments: str) -> Callable[[], Optional[int]]:
    """A run of dic-train or dic-test, in the current directory."""

    def run() -> int:
        sys.argv = ['dic', *arguments]
        return function('.')

    return run


def upload(path: str) -> Callable[[], Optional[int]]:
    """What the page does with a visitor's file."""

    def run() -> int:
        from dic_plugin.demo import page
        try:
            page.restore(('photo', path), 'weights.pth', aligned=True, device='cpu')
        except (ImportError, OSError, ValueError) as error:
            print(page.message([str(error)], error=True), file=sys.stderr)
            return 1
        return 0

    return run


def prepared(landmarks: str, *more: str) -> Callable[[], Optional[int]]:
    return command(prepare.main, 'photos', '--landmarks', landmarks, '--split', 'train', '--store', 'png', '--size',
                   '32', '--workers', '1', '-o', 'out', *more)  # yapf: disable


def build(root: Path) -> Dict[str, Sample]:
    """Write the valid files; returns the samples by kind."""
    (root / 'photos').mkdir(parents=True)
    faces = [draw_face(0, index, FACE) for index in range(NUM)]
    names = [f'{index:06d}.jpg' for index in range(1, NUM + 1)]
    points = []
    for name, (face, landmarks) in zip(names, faces):
        photo = Image.new('RGB', PHOTO, (90, 120, 150))
        photo.paste(Image.fromarray(face), (40, 30))
        photo.save(root / 'photos' / name, quality=95)
        points.append(landmarks + (40, 30))
    samples = {**_images(root, faces), **_landmarks(root, names, points)}
    samples.update(_sets(root))
    samples.update(_weights(root))
    samples.update(_runs(root))
    return samples


def _images(root: Path, faces: List) -> Dict[str, Sample]:
    samples = {}
    (root / 'sr').mkdir()
    (root / 'gt').mkdir()
    for index, (face, _) in enumerate(faces):
        for folder in ('sr', 'gt'):
            Image.fromarray(face).save(root / folder / f'face_{index}.png')
    for ending in IMAGES:
        name = f'face.{ending}'
        Image.fromarray(faces[0][0]).save(root / name)
        samples[f'image {ending}'] = Sample(
            name, command(infer.main, '-i', name, '-o', 'out', '-w', 'weights.pth', '--aligned', '--device', 'cpu'),
            IMAGE)  # yapf: disable
    samples['upload'] = Sample('face.jpg', upload('face.jpg'), IMAGE)
    samples['evaluated image'] = Sample('sr/face_1.png', command(evaluate.main, '-i', 'sr', '--gt', 'gt', '-o', 'out'),
                                        IMAGE)
    samples['photograph'] = Sample('photos/000002.jpg', prepared('list.pkl'), IMAGE)
    return samples


def _landmarks(root: Path, names: List[str], points: List) -> Dict[str, Sample]:
    (root / 'pts').mkdir()
    (root / 'helen').mkdir()
    for name, each in zip(names, points):
        text = '\n'.join(f'{x + 1:.3f} {y + 1:.3f}' for x, y in each)
        (root / 'pts' / name).with_suffix('.pts').write_text(f'version: 1\nn_points: 68\n{{\n{text}\n}}\n')
        many = np.concatenate([each] * 3)[:194]
        lines = [Path(name).stem, *(f'{x:.3f} , {y:.3f}' for x, y in many)]
        (root / 'helen' / name).with_suffix('.txt').write_text('\n'.join(lines) + '\n')
    with open(root / 'openface.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(
            ['filename', 'confidence', 'success', *(f'x_{i}' for i in range(68)), *(f'y_{i}' for i in range(68))])
        writer.writerows([name, 0.98, 1, *each.T.ravel().round(2)] for name, each in zip(names, points))
    five = [' '.join([name, *(f'{value:.0f}' for value in each[[36, 45, 30, 48, 54]].ravel())])
            for name, each in zip(names, points)]  # yapf: disable
    head = ' '.join(f'{part}_{axis}' for part in ('lefteye', 'righteye', 'nose', 'leftmouth', 'rightmouth')
                    for axis in 'xy')
    (root / 'list_landmarks_celeba.txt').write_text('\n'.join([str(NUM), head, *five]) + '\n')
    (root / 'list_eval_partition.txt').write_text(''.join(f'{name} {2 * (index == 0)}\n'
                                                          for index, name in enumerate(names)))
    content = {name: {'landmark': each.tolist(), 'bbox': [40, 30, 104, 94]} for name, each in zip(names, points)}
    (root / 'list.pkl').write_bytes(pickle.dumps(content, 2))
    strict = ('--max-failures', '0')
    return {
        'pts': Sample('pts/000002.pts', prepared('pts', *strict), TEXT),
        'Helen text': Sample('helen/000002.txt', prepared('helen', *strict), TEXT),
        'OpenFace CSV': Sample('openface.csv', prepared('openface.csv', *strict), TEXT),
        'CelebA text': Sample('list_landmarks_celeba.txt', prepared('list_landmarks_celeba.txt'), TEXT),
        'CelebA partition': Sample('list_eval_partition.txt',
                                   prepared('list.pkl', '--split', 'list_eval_partition.txt'), TEXT),
        'list pkl': Sample('list.pkl', prepared('list.pkl'), PICKLE)
    }  # yapf: disable


def _sets(root: Path) -> Dict[str, Sample]:
    for store in ('png', 'lmdb'):
        status = prepare.main([
            str(root / 'photos'), '--landmarks', str(root / 'list.pkl'), '--split', 'train', '--store', store, '--size',
            '32', '--workers', '1', '-o', str(root / f'set_{store}')
        ])  # yapf: disable
        assert status == 0, status
    checked = {
        'npz': ('set_png/train.npz', ARRAYS),
        'crop': ('set_png/train/000002.png', IMAGE),
        'lmdb': ('set_lmdb/train.lmdb/data.mdb', ANY),
        'meta_info': ('set_lmdb/train.lmdb/meta_info.txt', TEXT)
    }
    return {
        kind:
        Sample(file, command(check.main,
                             file.split('/')[0], '--workers', '1'), mutations, ('train.lmdb', 'train.npz', 'train'))
        for kind, (file, mutations) in checked.items()
    }


def _weights(root: Path) -> Dict[str, Sample]:
    torch.manual_seed(0)
    params = DIC(**{key: value for key, value in NETWORK.items() if key != 'type'}).state_dict()
    torch.save({'params': params}, root / 'weights.pth')
    torch.save({'params': params}, root / 'other.pth')
    save_safetensors(str(root / 'other.safetensors'), params, {'network': NETWORK})
    aligned = ('-i', 'face.png', '-o', 'out', '--aligned', '--device', 'cpu', '-w')
    return {
        'checkpoint': Sample('other.pth', command(infer.main, *aligned, 'other.pth'), WEIGHTS),
        'safetensors': Sample('other.safetensors', command(infer.main, *aligned, 'other.safetensors'), WEIGHTS),
        'converted': Sample('other.pth', command(convert.main, 'other.pth', 'out/new.safetensors'), WEIGHTS),
        'exported': Sample('other.pth', command(export.main, '-w', 'other.pth', '-o', 'out/dic.onnx', '--no-check',
                                                '--steps', '1'), WEIGHTS),
    }  # yapf: disable


def _runs(root: Path) -> Dict[str, Sample]:
    faces = dict(type='SyntheticFaceDataset', num_images=2, gt_size=FACE)
    pixel = dict(type='L1Loss', loss_weight=1.0, reduction='mean')
    opt = dict(
        name='tiny', model_type='DICModel', scale=8, num_gpu=0, manual_seed=0,
        datasets=dict(train=dict(faces, name='faces', batch_size_per_gpu=1, num_worker_per_gpu=0),
                      val=dict(faces, name='unseen', seed=1)),
        network_g=NETWORK, path=dict(pretrain_network_g=None, resume_state=None),
        train=dict(total_iter=1, optim_g=dict(type='Adam', lr=1e-3), pixel_opt=pixel,
                   scheduler=dict(type='MultiStepLR', milestones=[1])),
        val=dict(val_freq=1, save_img=False, suffix=None,
                 metrics=dict(psnr=dict(type='calculate_psnr', crop_border=8))),
        logger=dict(print_freq=1, save_checkpoint_freq=1, use_tb_logger=False))  # yapf: disable
    text = 'plugin: !!python/name:dic_plugin.__version__\n' + yaml.safe_dump(opt, sort_keys=False)
    (root / 'tiny.yml').write_text(text)
    ending = run_forked(launched(launch.train, '-opt', 'tiny.yml'), root, root / 'log.txt')
    if ending.status != 0:
        raise RuntimeError(ending.said[-2000:])
    state = 'experiments/tiny/training_states/1.state'
    for kept in list((root / 'experiments/tiny').iterdir()):
        if kept.name not in ('training_states', 'models'):
            shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    more = ('--force_yml', 'train:total_iter=2', 'name=more')
    return {
        'option file': Sample('tiny.yml', launched(launch.train, '-opt', 'tiny.yml', '--force_yml', 'name=new'), TEXT,
                              ('Error in the options', 'option')),
        'training state': Sample(state, launched(launch.train, '-opt', 'tiny.yml', *more,
                                                 f'path:resume_state={state}'), WEIGHTS),
        'network of a state': Sample('experiments/tiny/models/net_g_1.pth',
                                     launched(launch.train, '-opt', 'tiny.yml', *more, f'path:resume_state={state}'),
                                     WEIGHTS),
    }  # yapf: disable
