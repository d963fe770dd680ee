"""FaceLandmarkDataset: folder and LMDB, image kinds, augmentation, loader workers, and every kind of bad input."""
import dic_plugin  # noqa: F401 isort:skip (before basicsr, which may need its shims)

import copy
import os
import pickle
import random

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.utils.lmdb_util import LmdbMaker
from PIL import Image

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_landmark_dataset import FaceLandmarkDataset
from dic_plugin.data.image_file import decode_rgb
from dic_plugin.landmarks.layouts import flip_permutation

NUM, STORED, GT, SCALE = 4, 48, 32, 8
NAMES = [f'face.{i}' for i in range(NUM)]  # a dot, for names end at the last one


def make_faces(root, num_keypoints=5, order='celeba5'):
    """A folder and an LMDB of the same noise images, and their annotations."""
    rng = np.random.RandomState(0)
    os.makedirs(root / 'faces')
    maker = LmdbMaker(str(root / 'faces.lmdb'), map_size=1 << 22)  # its default asks for a terabyte
    for name in NAMES:
        img = rng.randint(0, 256, (STORED, STORED, 3), np.uint8)
        png = cv2.imencode('.png', img)[1].tobytes()
        (root / 'faces' / f'{name}.png').write_bytes(png)
        maker.put(png, name, img.shape)
    maker.close()
    landmarks = (5 + rng.rand(NUM, num_keypoints, 2) * (STORED - 11)).astype(np.float32)
    FaceAnnotations(
        np.array(NAMES), landmarks, order, image_size=np.full((NUM, 2), STORED,
                                                              np.int32)).save(str(root / 'faces.npz'))


@pytest.fixture
def faces(tmp_path):
    make_faces(tmp_path)
    return tmp_path


def options(root, **changes):
    opt = dict(
        name='Faces',
        type='FaceLandmarkDataset',
        phase='train',
        scale=SCALE,
        dataroot_gt=str(root / 'faces'),
        io_backend={'type': 'disk'},
        annotation_file=str(root / 'faces.npz'),
        gt_size=GT)
    return dict(opt, **changes)


def lmdb_options(root, **changes):
    return options(root, dataroot_gt=str(root / 'faces.lmdb'), io_backend={'type': 'lmdb'}, **changes)


def stored(root, index):
    return np.asarray(Image.open(root / 'faces' / f'{NAMES[index]}.png'))


def expect_from_worker(dataset, error, message):
    """The error of a loader's worker, which must reach the main process."""
    batches = iter(torch.utils.data.DataLoader(dataset, batch_size=len(dataset), num_workers=1, timeout=60))
    with pytest.raises(error, match=message):
        next(batches)
    batches._shutdown_workers()  # for the error keeps the iterator alive, and with it the worker


def to_uint8(tensor):
    return (tensor.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


# ---- samples ----


def test_sample(faces):
    dataset = FaceLandmarkDataset(options(faces, phase='val'))
    sample = dataset[2]
    gt = Image.fromarray(stored(faces, 2)).resize((GT, GT), Image.BICUBIC)
    np.testing.assert_array_equal(to_uint8(sample['gt']), np.asarray(gt))
    np.testing.assert_array_equal(to_uint8(sample['lq']), np.asarray(gt.resize((GT // 8, GT // 8), Image.BICUBIC)))
    assert sample['gt'].dtype == sample['lq'].dtype == sample['landmarks'].dtype == torch.float32
    assert len(dataset) == NUM and set(sample) == {'lq', 'gt', 'landmarks', 'lq_path', 'gt_path'}
    assert sample['gt_path'] == sample['lq_path'] == str(faces / 'faces' / 'face.2.png')
    annotated = FaceAnnotations.load(str(faces / 'faces.npz')).landmarks[2]
    expected = (annotated + 0.5) * GT / STORED - 0.5
    np.testing.assert_allclose(sample['landmarks'].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize('phase', ['train', 'val'])
def test_lmdb_and_folder_give_equal_samples(faces, phase):
    augment = dict(phase=phase, use_hflip=True, use_rot=True, aspect_ratio_range=[0.66, 1.33])
    folder, lmdb = FaceLandmarkDataset(options(faces, **augment)), FaceLandmarkDataset(lmdb_options(faces, **augment))
    for index in range(NUM):
        random.seed(index)
        from_folder = folder[index]
        random.seed(index)
        from_lmdb = lmdb[index]
        for key in ('lq', 'gt', 'landmarks'):
            assert torch.equal(from_folder[key], from_lmdb[key])
        assert os.path.basename(from_folder['lq_path']) == os.path.basename(from_lmdb['lq_path'])


def test_turned_and_enlarged_faces_keep_their_landmarks(faces):
    """A spot of one face stays under its landmark, and the enlarged faces are larger."""
    landmarks = np.tile(np.float32([[20, 20], [28, 20], [24, 24], [20, 28], [28, 28]]), (NUM, 1, 1))
    FaceAnnotations(np.array(NAMES), landmarks, 'celeba5').save(str(faces / 'faces.npz'))
    img = np.zeros((STORED, STORED, 3), np.uint8)
    img[23:26, 23:26] = 255
    Image.fromarray(img).save(faces / 'faces' / 'face.1.png')
    dataset = FaceLandmarkDataset(options(faces, gt_size=STORED, max_rotation=20, zoom_range=[1.5, 2]))
    for seed in range(8):
        random.seed(seed)
        sample = dataset[1]
        gt, found = sample['gt'][0].numpy(), sample['landmarks'].numpy()
        centre = (np.indices(gt.shape)[::-1] * gt).sum(axis=(1, 2)) / gt.sum()
        np.testing.assert_allclose(centre, found[2], atol=0.3)
        zoom = np.hypot(*(found[0] - found[4])) / np.hypot(8, 8)
        assert 1.45 < zoom < 2.1
        turn = np.degrees(np.arctan2(*(found[1] - found[0])[::-1]))
        assert 0.1 < abs(turn) <= 20.1


def test_works_without_landmarks(faces):
    opt = options(
        faces, use_hflip=True, use_rot=True, max_rotation=9, zoom_range=[1, 1.3], aspect_ratio_range=[0.66, 1.33])
    del opt['annotation_file']
    assert set(FaceLandmarkDataset(opt)[0]) == {'lq', 'gt', 'lq_path', 'gt_path'}


def test_validation_keeps_stored_images_by_default(faces):
    opt = options(faces, phase='val', use_hflip=True, use_rot=True)
    del opt['gt_size']
    dataset = FaceLandmarkDataset(opt)
    for _ in range(8):  # whatever chance would do to it in training
        np.testing.assert_array_equal(to_uint8(dataset[1]['gt']), stored(faces, 1))


def test_meta_info_file_selects_images(faces):
    (faces / 'some.txt').write_text('face.3.png (48,48,3)\n\nface.1.png (48,48,3)\n')
    for opt in (options(faces), lmdb_options(faces)):
        dataset = FaceLandmarkDataset(dict(opt, meta_info_file=str(faces / 'some.txt')))
        assert dataset.sets[0].files.names == ['face.3', 'face.1']
        dataset[1]


def two_sets(root, num_keypoints=5, order='celeba5', **changes):
    """Options for the set `root` and a second one of the same names in `root`/second; the second root is an LMDB."""
    (root / 'second').mkdir()
    make_faces(root / 'second', num_keypoints, order)
    return options(
        root, **{
            'dataroot_gt': [str(root / 'faces'), str(root / 'second' / 'faces.lmdb')],
            'annotation_file': [str(root / 'faces.npz'), str(root / 'second' / 'faces.npz')],
            'io_backend': None,
            **changes
        })


def test_several_sets(faces):
    dataset = FaceLandmarkDataset(two_sets(faces, set_weights=[1, 2]))
    single = [FaceLandmarkDataset(options(faces)), FaceLandmarkDataset(lmdb_options(faces / 'second'))]
    expected = [face_set[i] for face_set in (single[0], single[1], single[1]) for i in range(NUM)]
    assert len(dataset) == 3 * NUM
    for sample, wanted in zip((dataset[i] for i in range(len(dataset))), expected):
        assert sample['gt_path'] == wanted['gt_path']
        assert torch.equal(sample['lq'], wanted['lq']) and torch.equal(sample['landmarks'], wanted['landmarks'])
    batch = next(iter(build_dataloader(dataset, dict(dataset.opt, batch_size_per_gpu=12, num_worker_per_gpu=1), 0)))
    assert len(set(batch['gt_path'])) == 2 * NUM


def test_lists_of_images_per_set(faces):
    (faces / 'some.txt').write_text('face.3.png\n')
    assert len(FaceLandmarkDataset(two_sets(faces, meta_info_file=[None, str(faces / 'some.txt')]))) == NUM + 1


@pytest.mark.parametrize('num_keypoints, order, change, message', [
    (5, 'celeba5', dict(phase='val'), "'face.0' is in '.*faces' and in '.*second.*expected different names"),
    (68, 'ibug68', {},
     "faces' has landmarks of the order celeba5, .*second.* landmarks of the order ibug68; expected one"),
    (5, 'celeba5', dict(annotation_file=['{root}/faces.npz', None]), "second.* no landmarks; expected one kind"),
    (5, 'celeba5', dict(annotation_file='{root}/faces.npz'), 'annotation_file has 1 values; expected 2'),
    (5, 'celeba5', dict(set_weights=[1, 2, 1]), 'set_weights has 3 values; expected 2, one for each dataroot_gt'),
    (5, 'celeba5', dict(set_weights=[1, 0.5]), 'set_weights is .*; expected a whole number of at least 1, or a list'),
    (5, 'celeba5', dict(dataroot_gt=[]), 'dataroot_gt is .*; expected a path'),
    (5, 'celeba5', dict(dataroot_gt=['{root}/faces', '{root}/../{name}/faces']), 'dataroot_gt: .*faces.* is in'),
])
def test_sets_that_do_not_go_together_are_named(faces, num_keypoints, order, change, message):

    def place(value):
        if isinstance(value, list):
            return [place(item) for item in value]
        return value.format(root=faces, name=faces.name) if isinstance(value, str) else value

    opt = two_sets(faces, num_keypoints, order, **{key: place(value) for key, value in change.items()})
    with pytest.raises(ValueError, match=message):
        FaceLandmarkDataset(opt)


def test_annotations_beside_images_are_no_image(faces):
    os.rename(faces / 'faces.npz', faces / 'faces' / 'landmarks.npz')
    opt = options(faces, annotation_file=str(faces / 'faces' / 'landmarks.npz'))
    assert len(FaceLandmarkDataset(opt)) == NUM


def test_mean_and_std_as_in_basicsr(faces):
    plain = FaceLandmarkDataset(options(faces))[0]
    normalised = FaceLandmarkDataset(options(faces, mean=[0.5, 0.4, 0.3], std=[0.5, 0.5, 1.]))[0]
    for key in ('lq', 'gt'):
        expected = (plain[key] - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.5, 0.5, 1.])[:, None,
                                                                                                              None]
        torch.testing.assert_close(normalised[key], expected)


def test_options_are_only_read(faces):
    opt = lmdb_options(faces, use_hflip=True, use_rot=True, aspect_ratio_range=[0.66, 1.33])
    before = copy.deepcopy(opt)
    FaceLandmarkDataset(opt)[0]
    assert opt == before


# ---- augmentation ----


def test_augmentation_moves_landmarks_with_pixels(tmp_path):
    """A bright spot at each landmark in turn; whatever is drawn by chance, it stays there."""
    os.makedirs(tmp_path / 'faces')
    points = np.float32([[40, 36], [56, 38], [47, 49], [41, 60], [55, 59]])
    columns, rows = np.meshgrid(np.arange(96), np.arange(96))
    for index, (x, y) in enumerate(points):
        spot = 255 * np.exp(-((columns - x)**2 + (rows - y)**2) / 8)
        Image.fromarray(spot.round().astype(np.uint8)).save(tmp_path / 'faces' / f'{index}.png')
    names = np.array([str(index) for index in range(5)])
    FaceAnnotations(names, np.stack([points] * 5), 'celeba5').save(str(tmp_path / 'faces.npz'))
    opt = options(tmp_path, gt_size=64, use_hflip=True, use_rot=True, aspect_ratio_range=[0.66, 1.33])
    dataset, permutation = FaceLandmarkDataset(opt), flip_permutation(5)
    random.seed(0)
    seen = set()
    for index in list(range(5)) * 8:
        sample = dataset[index]
        weights = sample['gt'][0].double().numpy()
        centre = np.array([weights.sum(0) @ np.arange(64), weights.sum(1) @ np.arange(64)]) / weights.sum()
        landmarks = sample['landmarks'].numpy()
        spot = int(np.linalg.norm(landmarks - centre, axis=1).argmin())
        np.testing.assert_allclose(landmarks[spot], centre, atol=0.2)
        assert spot in (index, permutation[index])
        seen.add((index, spot))
    assert len(seen) == 9  # each in its own place and, but for the nose, in its mirror image's


def test_augmentation_is_reproducible_and_varies(faces):
    dataset = FaceLandmarkDataset(options(faces, use_hflip=True, use_rot=True, aspect_ratio_range=[0.66, 1.33]))

    def draw(seed):
        random.seed(seed)
        return [dataset[0]['gt'] for _ in range(4)]

    assert all(torch.equal(a, b) for a, b in zip(draw(0), draw(0)))
    assert not all(torch.equal(a, b) for a, b in zip(draw(0), draw(1)))


# ---- image kinds ----

RGB = np.random.RandomState(1).randint(0, 256, (16, 16, 3), np.uint8)
GREY, ALPHA = RGB[:, :, 0], RGB[:, :, 1]


@pytest.mark.parametrize(
    'make, expected', [
        (lambda: Image.fromarray(RGB), RGB),
        (lambda: Image.fromarray(GREY), np.stack([GREY] * 3, axis=2)),
        (lambda: Image.fromarray(GREY > 127), np.stack([(GREY > 127) * np.uint8(255)] * 3, axis=2)),
        (lambda: Image.fromarray(np.dstack([RGB, np.full_like(GREY, 255)])), RGB),
        (lambda: Image.fromarray(np.dstack([RGB, ALPHA])), np.round(RGB * (ALPHA[:, :, None] / 255.))),
        (lambda: Image.fromarray(np.dstack([GREY, ALPHA]), 'LA'),
         np.round(np.stack([GREY] * 3, axis=2) * (ALPHA[:, :, None] / 255.))),
        (lambda: Image.fromarray(RGB).quantize(16), np.asarray(Image.fromarray(RGB).quantize(16).convert('RGB'))),
        (lambda: Image.fromarray(GREY.astype(np.uint16) * 257), np.stack([GREY] * 3, axis=2)),
    ],
    ids=['RGB', 'grey', '1 bit', 'opaque', 'transparent', 'grey with alpha', 'palette', '16 bit'])
def test_any_image_becomes_8_bit_rgb(tmp_path, make, expected):
    make().save(tmp_path / 'image.png')
    img = decode_rgb((tmp_path / 'image.png').read_bytes(), 'image.png')
    assert img.dtype == np.uint8 and img.shape == (16, 16, 3)
    np.testing.assert_array_equal(img, expected)


def test_16_bit_colour_is_rounded(tmp_path):
    values = np.random.RandomState(2).randint(0, 65536, (8, 8, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'image.png'), values[:, :, ::-1])
    img = decode_rgb((tmp_path / 'image.png').read_bytes(), 'image.png')
    np.testing.assert_array_equal(img, np.round(values / 257.))


def test_floating_point_image_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'image.tif'), np.zeros((8, 8, 3), np.float32))
    with pytest.raises(ValueError, match='image.tif: has 3 channels of float32'):
        decode_rgb((tmp_path / 'image.tif').read_bytes(), 'image.tif')


# ---- loaders ----


def test_basicsr_builds_dataset_and_loader(faces):
    opt = lmdb_options(
        faces,
        use_hflip=True,
        use_rot=True,
        aspect_ratio_range=[0.66, 1.33],
        num_worker_per_gpu=1,
        batch_size_per_gpu=2,
        dataset_enlarge_ratio=1,
        prefetch_mode=None,
        use_shuffle=True,
        num_keypoints=5)
    loader = build_dataloader(build_dataset(opt), opt, num_gpu=1, seed=0)
    batches = list(loader)
    assert len(batches) == 2 and batches[0]['landmarks'].shape == (2, 5, 2)
    assert batches[0]['lq'].shape == (2, 3, GT // SCALE, GT // SCALE)


def test_forked_workers_read_lmdb_that_the_parent_has_open(faces):
    """LMDB survives neither a fork nor a second opening in one process. Other workers: test_start_methods.py."""
    dataset = FaceLandmarkDataset(lmdb_options(faces, phase='val'))
    same_lmdb = FaceLandmarkDataset(lmdb_options(faces, phase='val'))
    expected = [dataset[index]['gt'] for index in range(NUM)]
    loader = torch.utils.data.DataLoader(dataset, batch_size=1, num_workers=2, multiprocessing_context='fork')
    found = [batch['gt'][0] for batch in loader]
    assert all(torch.equal(a, b) for a, b in zip(found, expected))
    assert torch.equal(same_lmdb[0]['gt'], expected[0])


def test_workers_differ_and_repeat(faces):
    """Chance is BasicSR's: seeded per worker, so that a run repeats and workers do not copy each other."""
    opt = options(faces, use_hflip=True, use_rot=True, aspect_ratio_range=[0.66, 1.33], num_worker_per_gpu=2,
                  batch_size_per_gpu=2)  # yapf: disable
    same_face = torch.utils.data.Subset(FaceLandmarkDataset(opt), [0] * 8)

    def run():
        return [batch['gt'] for batch in build_dataloader(same_face, opt, num_gpu=1, seed=0)]

    first, second = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert not torch.equal(first[0], first[1])


def test_dataset_can_be_pickled_after_use(faces):
    dataset = FaceLandmarkDataset(lmdb_options(faces, phase='val'))
    sample = dataset[0]
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[0]['gt'], sample['gt'])


def test_truncated_image_surfaces_from_a_worker(faces):
    """A worker hands the error on, with the culprit's name; it does not hang."""
    path = faces / 'faces' / 'face.1.png'
    path.write_bytes(path.read_bytes()[:-200])
    expect_from_worker(
        FaceLandmarkDataset(options(faces)), ValueError, r'face\.1\.png: cannot be decoded; the file is truncated')


# ---- bad input ----


@pytest.mark.parametrize('length', [0, 5, 40, 2000])
def test_truncated_image_is_named(faces, length):
    path = faces / 'faces' / 'face.3.png'
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=rf'face\.3\.png: cannot be decoded.*\({length} bytes\)'):
        FaceLandmarkDataset(options(faces))[3]


def test_image_without_landmarks_is_named(faces):
    Image.fromarray(RGB).save(faces / 'faces' / 'stranger.png')
    with pytest.raises(
            ValueError, match=r"faces.npz: has no landmarks for 'stranger' \(1 of 5 .*do not belong together"):
        FaceLandmarkDataset(options(faces))


def test_landmarks_without_image_are_named(faces):
    os.remove(faces / 'faces' / 'face.2.png')
    with pytest.raises(ValueError, match=r"faces.npz: 'face.2' has no image in .*faces' \(1 of 4 faces\)"):
        FaceLandmarkDataset(options(faces))


def test_image_of_another_size_than_annotated_is_named(faces):
    Image.fromarray(RGB).resize((96, 96)).save(faces / 'faces' / 'face.0.png')
    with pytest.raises(ValueError, match=r'face.0.png: is 96x96 .* annotated as 48x48; .*belong together .*faces.npz'):
        FaceLandmarkDataset(options(faces))[0]


@pytest.mark.parametrize('x, y', [(-0.6, 5), (5, -3), (47.6, 5), (5, 1000)])
def test_landmark_outside_the_image_is_named(faces, x, y):
    landmarks = FaceAnnotations.load(str(faces / 'faces.npz')).landmarks.copy()
    landmarks[1, 3] = x, y
    FaceAnnotations(np.array(NAMES), landmarks, 'celeba5').save(str(faces / 'faces.npz'))
    dataset = FaceLandmarkDataset(options(faces))
    dataset[0]
    with pytest.raises(ValueError, match=r'face.1.png: landmark 3 at \(.*\) is outside the image of 48x48'):
        dataset[1]


def test_landmarks_on_the_rim_are_inside(faces):
    landmarks = np.tile(np.float32([-0.5, STORED - 0.5]), (NUM, 5, 1))
    FaceAnnotations(np.array(NAMES), landmarks, 'celeba5').save(str(faces / 'faces.npz'))
    found = FaceLandmarkDataset(options(faces, aspect_ratio_range=[0.66, 1.33]))[0]['landmarks']
    np.testing.assert_allclose(found.numpy(), np.tile([-0.5, GT - 0.5], (5, 1)))


def test_nan_landmark_is_named(faces):
    landmarks = np.full((NUM, 5, 2), 9, np.float32)
    landmarks[2, 1] = np.nan
    np.savez(faces / 'faces.npz', names=np.array(NAMES), landmarks=landmarks, order='celeba5')
    with pytest.raises(ValueError, match="faces.npz: landmarks of 'face.2' hold NaN"):
        FaceLandmarkDataset(options(faces))


def test_other_number_of_landmarks_is_refused(faces):
    with pytest.raises(ValueError, match=r'num_keypoints is 68, but the annotation file .*faces.npz. has 5 .*celeba5'):
        FaceLandmarkDataset(options(faces, num_keypoints=68))
    with pytest.raises(ValueError, match='num_keypoints is 68, but no annotation_file is given'):
        FaceLandmarkDataset(options(faces, num_keypoints=68, annotation_file=None))


def test_key_that_lmdb_lacks_is_named(faces):
    with open(faces / 'faces.lmdb' / 'meta_info.txt', 'a') as file:
        file.write('ghost.png (48,48,3) 1\n')
    dataset = FaceLandmarkDataset(lmdb_options(faces, annotation_file=None))
    message = "faces.lmdb' has no key 'ghost', though its meta_info names it"
    with pytest.raises(KeyError, match=message):
        dataset[NUM]
    expect_from_worker(torch.utils.data.Subset(dataset, [NUM]), KeyError, message)


def test_lmdb_without_meta_info_is_named(faces):
    os.remove(faces / 'faces.lmdb' / 'meta_info.txt')
    with pytest.raises(FileNotFoundError, match='faces.lmdb.*meta_info.txt. does not exist'):
        FaceLandmarkDataset(lmdb_options(faces))


def test_empty_folder_is_named(tmp_path):
    os.makedirs(tmp_path / 'faces')
    (tmp_path / 'faces' / 'notes.txt').write_text('no image')
    with pytest.raises(ValueError, match='/faces. holds no image .*README.md, section "Data"'):
        FaceLandmarkDataset(options(tmp_path))


@pytest.mark.parametrize('backend', ['disk', 'lmdb'])
def test_missing_data_root_says_how_to_prepare_it(tmp_path, backend):
    with pytest.raises(FileNotFoundError, match='/faces. does not exist; .*README.md, section "Data"'):
        FaceLandmarkDataset(options(tmp_path, io_backend={'type': backend}))


def test_image_lost_since_is_named(faces):
    dataset = FaceLandmarkDataset(options(faces))
    os.remove(faces / 'faces' / 'face.2.png')
    with pytest.raises(FileNotFoundError, match='face.2.png'):
        dataset[2]


def test_same_name_twice_is_named(faces):
    Image.fromarray(RGB).save(faces / 'faces' / 'face.2.bmp')
    with pytest.raises(ValueError, match="two images are called 'face.2'"):
        FaceLandmarkDataset(options(faces))


def test_image_that_is_not_square_is_named(faces):
    Image.fromarray(RGB[:12]).save(faces / 'faces' / 'face.0.png')
    with pytest.raises(ValueError, match=r'face.0.png: is 16x12 .*square'):
        FaceLandmarkDataset(options(faces, annotation_file=None))[0]


def test_size_that_scale_does_not_divide_is_named(faces):
    Image.fromarray(RGB[:12, :12]).save(faces / 'faces' / 'face.0.png')
    with pytest.raises(ValueError, match=r'face.0.png: is 12x12 .*multiples of the scale, 8'):
        FaceLandmarkDataset(options(faces, phase='val', gt_size=None, annotation_file=None))[0]


@pytest.mark.parametrize('change, message', [
    (dict(use_flip=True), r"FaceLandmarkDataset\):use_flip: no such option; did you mean 'use_hflip'"),
    (dict(dataroot_gt=None), 'datasets:train .*dataroot_gt is missing'),
    (dict(io_backend={'type': 'zip'}), "io_backend type 'zip' is not supported; expected 'disk' or 'lmdb'"),
    (dict(scale=None), 'scale is None; expected a whole number of at least 1 .*top of the option file'),
    (dict(gt_size=100), 'gt_size is 100; expected a multiple of the scale, 8'),
    (dict(gt_size=None), 'gt_size is missing'),
    (dict(phase='training'), "phase is 'training'; expected train, val or test"),
    (dict(aspect_ratio_range=[1.33, 0.66]),
     r'aspect_ratio_range is \[1.33, 0.66\]; expected a list of 2, each a number'),
    (dict(aspect_ratio_range=['a', 2]), r"aspect_ratio_range is \['a', 2\]; expected a list of 2"),
    (dict(aspect_ratio_range=0.66), 'aspect_ratio_range is 0.66'),
    (dict(zoom_range=[0.9, 1.2]), r'zoom_range is \[0.9, 1.2\]; expected a list of 2, each a number of at least 1'),
    (dict(max_rotation=-3), 'max_rotation'),
    (dict(mean='x'), "mean is 'x'; expected a list of 3"),
    (dict(std=[1, 1, 0]), r'std is \[1, 1, 0\]; expected a list of 3, each a number above 0'),
])
def test_wrong_option_is_named(faces, change, message):
    with pytest.raises(ValueError, match=message):
        FaceLandmarkDataset(options(faces, **change))


@pytest.mark.parametrize('num_keypoints, order', [(194, 'helen194'), (7, 'dog7'), (68, 'mine68')])
def test_flip_of_unknown_order_is_refused_in_training_only(tmp_path, num_keypoints, order):
    make_faces(tmp_path, num_keypoints, order)
    with pytest.raises(ValueError, match='use_hflip: .*`use_hflip: false`'):
        FaceLandmarkDataset(options(tmp_path, use_hflip=True))
    assert FaceLandmarkDataset(options(tmp_path))[0]['landmarks'].shape == (num_keypoints, 2)
    FaceLandmarkDataset(options(tmp_path, phase='val', use_hflip=True))[0]
