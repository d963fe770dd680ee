"""The preparation of a folder of photographs: what it writes, restarts, refusals, and training on the result."""
import filecmp
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from basicsr.data import build_dataset
from filelock import FileLock

from dic_plugin.cli.prepare import main
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.degradation import make_lq
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.prepare import prepare as run_module
from helpers import forked
from helpers.paths import ROOT
from helpers.photographs import make_photographs, read_csv, write_dic_list

NUM = 70


@pytest.fixture(scope='module')
def download(tmp_path_factory):
    """A folder of photographs and its published list, as downloaded; not to be changed."""
    folder = tmp_path_factory.mktemp('download')
    scenes = make_photographs(folder / 'photos', NUM)
    write_dic_list(folder / 'train_list.pkl', scenes)
    return folder, scenes


def prepare(folder, output, *arguments, code=0):
    command = [folder / 'photos', '--landmarks', folder / 'train_list.pkl', '-o', output, '--workers', 1, *arguments]
    assert main([str(part) for part in command]) == code


def assert_same_tree(one, other):
    names = sorted(str(path.relative_to(one)) for path in Path(one).rglob('*'))
    assert names == sorted(str(path.relative_to(other)) for path in Path(other).rglob('*'))
    files = [name for name in names if (Path(one) / name).is_file()]
    assert len(files) > 5
    different = filecmp.cmpfiles(one, other, files, shallow=False)[1:]
    assert different == ([], [])


@pytest.fixture(scope='module')
def undisturbed(download, tmp_path_factory):
    """The set that one run makes."""
    output = tmp_path_factory.mktemp('sets') / 'celeba'
    prepare(download[0], output, '--split', '6')
    return output


@pytest.mark.parametrize('store', ['lmdb', 'png'])
def test_what_is_written_is_the_published_crop(download, tmp_path, store, capsys):
    folder, scenes = download
    output = tmp_path / 'set'
    prepare(folder, output, '--split', '6', '--store', store, '--preview', '--size', '96')
    assert 'Prepared 70 faces' in capsys.readouterr().out
    io_backend = {'type': 'lmdb' if store == 'lmdb' else 'disk'}
    names = {}
    for split, number, side in (('train', NUM - 6, 96), ('test', 6, 128)):
        images = output / (f'{split}.lmdb' if store == 'lmdb' else split)
        files = FaceFiles(str(images), io_backend)
        annotations = FaceAnnotations.load(str(output / f'{split}.npz'))
        assert annotations.names.tolist() == files.names and len(files) == number
        assert annotations.order == 'ibug68' and (annotations.image_size == side).all()
        names[split] = set(files.names)
        for row, source in enumerate(annotations.source.tolist()):
            scene = scenes[source]
            assert tuple(annotations.crop_box[row]) == scene.box
            expected = (scene.landmarks - scene.box[:2] + 0.5) * (side / 64) - 0.5
            np.testing.assert_allclose(annotations.landmarks[row], expected, atol=1e-3)
        assert files.read(0).shape == (side, side, 3)
        assert (output / f'preview_{split}.png').stat().st_size > 1000
        meta_info = images / 'meta_info.txt' if store == 'lmdb' else output / f'meta_info_{split}.txt'
        assert meta_info.read_text().startswith(f'{files.names[0]}.png ({side},{side},3)')
    assert not names['train'] & names['test'] and len(names['train'] | names['test']) == NUM
    faces = read_csv(output / 'faces.csv')
    assert [face['source'] for face in faces] == sorted(scenes)
    assert {face['moved_x'] for face in faces} == {'0'} and {face['faces_in_photograph'] for face in faces} == {'1'}
    assert read_csv(output / 'skipped.csv') == []


def test_other_models_of_the_toolbox_read_the_test_pair(undisturbed):
    dataset = build_dataset({
        'name': 'pair',
        'type': 'PairedImageDataset',
        'phase': 'test',
        'scale': 8,
        'io_backend': dict(type='lmdb'),
        'dataroot_gt': str(undisturbed / 'test.lmdb'),
        'dataroot_lq': str(undisturbed / 'test_lq.lmdb')
    })
    assert len(dataset) == 6
    for sample in (dataset[0], dataset[5]):
        gt, lq = (np.round(sample[key].numpy().transpose(1, 2, 0) * 255).astype(np.uint8) for key in ('gt', 'lq'))
        assert lq.shape == (16, 16, 3)
        np.testing.assert_array_equal(lq, make_lq(gt, 8))


def test_the_number_of_workers_does_not_change_the_set(download, undisturbed, tmp_path):
    prepare(download[0], tmp_path / 'set', '--split', '6', '--workers', 3)
    assert_same_tree(undisturbed, tmp_path / 'set')


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize('after', [0, 3, NUM - 1])
def test_a_run_interrupted_while_cropping_continues(download, undisturbed, tmp_path, monkeypatch, capsys, after):
    """Every photograph is prepared once."""
    done, plain = [], run_module.prepare_photo
    monkeypatch.setattr(run_module, 'prepare_photo', lambda *args: interrupted()
                        if len(done) == after else done.append(args) or plain(*args))
    prepare(download[0], tmp_path / 'set', '--split', '6', code=130)
    assert 'goes on from here' in capsys.readouterr().err and not (tmp_path / 'set').exists()
    monkeypatch.setattr(run_module, 'prepare_photo', lambda *args: done.append(args) or plain(*args))
    prepare(download[0], tmp_path / 'set', '--split', '6')
    assert len(done) == NUM and os.listdir(tmp_path) == ['set']
    assert_same_tree(undisturbed, tmp_path / 'set')


@pytest.mark.parametrize('stage', ['finish.write_json', 'finish.FaceAnnotations.save', 'finish.LmdbMaker.close',
                                   'finish.write_skipped', 'prepare.write_json'])  # yapf: disable
def test_a_run_interrupted_while_writing_continues(download, undisturbed, tmp_path, monkeypatch, stage):
    with monkeypatch.context() as patch:
        patch.setattr(f'dic_plugin.prepare.{stage}', interrupted)
        prepare(download[0], tmp_path / 'set', '--split', '6', code=130)
    assert not (tmp_path / 'set').exists()
    prepare(download[0], tmp_path / 'set', '--split', '6')
    assert_same_tree(undisturbed, tmp_path / 'set')


@pytest.mark.slow
@pytest.mark.parametrize('how, times, progress', [(signal.SIGINT, 1, '000/*.json'), (signal.SIGINT, 4, '000/*.json'),
                                                  (signal.SIGTERM, 1, '000/*.json'), (signal.SIGKILL, 1, '000/*.png'),
                                                  (signal.SIGKILL, 1, '000/*4.json'), (signal.SIGKILL, 1, 'set/*')])
def test_a_killed_process_continues(download, undisturbed, tmp_path, how, times, progress):
    folder, _ = download
    process = forked.start([
        ROOT / 'scripts/prepare_faces.py', folder / 'photos', '--landmarks', folder / 'train_list.pkl', '-o',
        tmp_path / 'set', '--split', '6', '--workers', '2'
    ])
    while process.poll() is None and not list(tmp_path.glob(f'set.unfinished/{progress}')):
        time.sleep(0.002)
    for _ in range(times):
        process.send_signal(how)
        time.sleep(0.01)
    error = process.communicate(timeout=60)[0]
    assert process.returncode in ({signal.SIGINT: (0, 130)}.get(how, (0, -how))), error
    assert 'Traceback' not in error
    prepare(folder, tmp_path / 'set', '--split', '6', '--workers', 2)
    assert_same_tree(undisturbed, tmp_path / 'set')


def test_a_finished_set_is_left_as_it_is(download, undisturbed, tmp_path, capsys):
    shutil.copytree(undisturbed, tmp_path / 'set')
    (tmp_path / 'set.unfinished').mkdir()  # as after a kill at the very end
    prepare(download[0], tmp_path / 'set', '--split', '6', '--preview')
    assert 'as it was already' in capsys.readouterr().out
    assert (tmp_path / 'set' / 'preview_test.png').exists() and os.listdir(tmp_path) == ['set']
    prepare(download[0], tmp_path / 'set', '--split', '7', code=1)
    assert 'split was "6" and is "7"' in capsys.readouterr().err
    (tmp_path / 'set' / 'prepared.json').write_text('{}')
    prepare(download[0], tmp_path / 'set', '--split', '6', code=1)
    assert 'prepared.json: is not a record of a preparation' in capsys.readouterr().err


def test_another_folder_is_not_touched(download, tmp_path, capsys):
    (tmp_path / 'set').mkdir()
    (tmp_path / 'set' / 'thesis.txt').write_text('years of work')
    prepare(download[0], tmp_path / 'set', code=1)
    assert 'not made by this tool' in capsys.readouterr().err
    assert os.listdir(tmp_path / 'set') == ['thesis.txt'] and os.listdir(tmp_path) == ['set']


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no named pipes in folders, and links need rights')
def test_a_link_to_another_disk_stays_a_link_and_a_pipe_is_refused(download, undisturbed, tmp_path, capsys):
    (tmp_path / 'disk/celeba').mkdir(parents=True)
    (tmp_path / 'set').symlink_to('disk/celeba')
    prepare(download[0], tmp_path / 'set', '--split', '6')
    assert (tmp_path / 'set').is_symlink() and os.listdir(tmp_path / 'disk') == ['celeba']
    assert_same_tree(undisturbed, tmp_path / 'disk/celeba')
    prepare(download[0], tmp_path / 'set', '--split', '6')
    assert 'as it was already' in capsys.readouterr().out
    os.mkfifo(tmp_path / 'pipe')
    prepare(download[0], tmp_path / 'pipe', code=1)
    assert 'not made by this tool' in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ['disk', 'pipe', 'set']


def test_an_unfinished_run_with_other_settings_or_of_another_process_is_refused(download, tmp_path, monkeypatch,
                                                                                capsys):
    monkeypatch.setattr(run_module, 'build_set', interrupted)
    prepare(download[0], tmp_path / 'set', code=130)
    prepare(download[0], tmp_path / 'set', '--margin', '0.3', code=1)
    assert 'margin was 0.25 and is 0.3' in capsys.readouterr().err
    with FileLock(tmp_path / 'set.unfinished/lock'):
        prepare(download[0], tmp_path / 'set', code=1)
    assert 'another run is working there' in capsys.readouterr().err


def test_every_photograph_left_out_is_listed_with_its_reason(download, tmp_path, capsys):
    folder, scenes = download
    photos = tmp_path / 'photos'
    shutil.copytree(folder / 'photos', photos)
    (photos / '000001.jpg').write_bytes(b'not an image')
    (photos / '000002.jpg').write_bytes((photos / '000002.jpg').read_bytes()[:-100])
    (photos / '000003.jpg').unlink()
    shutil.copy(photos / '000005.jpg', photos / 'stranger.jpg')
    listed = {name: scene for name, scene in scenes.items() if name != '000004.jpg'}
    listed['000006.jpg'] = scenes['000006.jpg']._replace(box=(0, 0, 20, 20))
    write_dic_list(tmp_path / 'train_list.pkl', listed)
    prepare(tmp_path, tmp_path / 'set', '--split', 'train')
    words = {'000001.jpg': 'decoded', '000002.jpg': 'truncated', '000003.jpg': 'no such photograph',
             '000004.jpg': 'train_list.pkl', '000006.jpg': 'outside', 'stranger.jpg': 'train_list.pkl'}  # yapf: disable
    reasons = {row['source']: row['reason'] for row in read_csv(tmp_path / 'set' / 'skipped.csv')}
    assert sorted(reasons) == sorted(words) and all(words[source] in reasons[source] for source in words)
    out = capsys.readouterr().out
    assert 'left out: 6 (skipped.csv)' in out and f'{NUM - 5} faces' in out
    counts = json.loads((tmp_path / 'set' / 'prepared.json').read_text())['counts']
    assert counts['faces'] == {'train': NUM - 5} and sum(counts['reasons'].values()) == 6


def test_nothing_usable_is_an_error(tmp_path, capsys):
    write_dic_list(tmp_path / 'train_list.pkl', make_photographs(tmp_path / 'photos', 2))
    for name in ('000001.jpg', '000002.jpg'):
        (tmp_path / 'photos' / name).write_bytes(b'')
    prepare(tmp_path, tmp_path / 'set', '--split', 'train', code=1)
    assert 'None of the 2 photographs' in capsys.readouterr().err
    assert not (tmp_path / 'set').exists()


@pytest.mark.parametrize('arguments,message', [
    (['--gt-size', '100'], 'multiple of --scale'),
    (['--size', '4'], 'at least 16'),
    (['--model', 'x.dat'], '--detector'),
    (['--margin', '-1'], '0 to 10'),
])
def test_a_command_line_without_sense_is_refused(download, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_info:
        prepare(download[0], tmp_path / 'set', *arguments)
    assert exit_info.value.code == 2 and message in capsys.readouterr().err


TINY_NET = [
    f'network_g:{option}' for option in ('num_feat=8', 'num_groups=1', 'num_steps=2', 'hg_num_feat=16',
                                         'num_fusion_block=1', 'hg_from_scratch=true')
]


@pytest.mark.slow
@pytest.mark.parametrize('recipe,size', [('CelebA', 128), ('Helen', 192)])
def test_the_recipes_train_and_test_on_it(download, tmp_path, recipe, size):
    """From the download to the trained network; the options are made smaller on the command line only."""
    root = tmp_path / 'datasets' / recipe.lower()
    prepare(download[0], root, '--split', '6', '--size', size)

    def run(program, *options, **splits):
        data = [f'datasets:{phase}:{option}={root}/{split}.{suffix}' for phase, split in splits.items()
                for option, suffix in (('dataroot_gt', 'lmdb'), ('annotation_file', 'npz'))]  # yapf: disable
        path = ROOT / 'options' / f'{program}_DIC_{recipe}.yml'
        command = [f'basicsr/{program}.py', '-opt', path, '--force_yml', 'name=tiny', 'num_gpu=0']
        return forked.run([*command, *options, *data, *TINY_NET], cwd=tmp_path)

    shutil.copytree(ROOT / 'basicsr', tmp_path / 'basicsr')
    run('train',
        'train:total_iter=10',
        'val:val_freq=10',
        'logger:print_freq=5',
        'logger:save_checkpoint_freq=10',
        'datasets:train:batch_size_per_gpu=2',
        'logger:use_tb_logger=false',
        'datasets:train:num_worker_per_gpu=1',
        'datasets:train:dataset_enlarge_ratio=1',
        'path:pretrain_network_hourglass=~',
        train='train',
        val='test')
    assert 'nrmse' in run('test', 'path:pretrain_network_g=experiments/tiny/models/net_g_latest.pth', test='test')
    assert len(list((tmp_path / 'results').rglob('*.png'))) >= 6


@pytest.mark.parametrize('store', ['lmdb', 'png'])
def test_a_set_inside_the_folder_of_photographs(download, tmp_path, store):
    """Its own images are no photographs: the same command finds the set finished."""
    folder, _ = download
    photos = tmp_path / 'photos'
    shutil.copytree(folder / 'photos', photos)
    command = [photos, '--landmarks', folder / 'train_list.pkl', '-o', photos / 'set', '--split', '6', '--store', store]
    for _ in range(2):
        assert main([str(part) for part in command]) == 0
    assert not (tmp_path / 'photos/set.unfinished').exists()
