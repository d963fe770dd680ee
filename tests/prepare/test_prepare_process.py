"""One photograph becomes a crop with its landmarks, or is left out with the reason."""
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from dic_plugin.data.degradation import make_lq
from dic_plugin.faces.found_face import FoundFace
from dic_plugin.prepare.photo import Photo
from dic_plugin.prepare.process import CropSettings, PreparedFace, SkippedPhoto, Task, five_point_error, prepare_photo

SETTINGS = CropSettings(size=48, gt_size=32, scale=8)
LANDMARKS = np.array([[30., 20.], [70., 20.], [50., 60.]])
BOX = (30, 20, 70, 60)


def scene(width=100, height=80):
    """Smooth colours; red grows to the right, green downwards, blue is scarce."""
    columns, rows = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([columns, rows, 0 * rows + 20], axis=2).astype(np.uint8)


def write(folder, img=None, name='1.png', **options):
    path = folder / name
    Image.fromarray(scene() if img is None else img).save(path, **options)
    return Photo(path.stem, str(path), name)


def task_of(photo, faces=(FoundFace(LANDMARKS), ), split='train', min_confidence=0., five_points=None):
    return Task(photo, split, None if faces is None else list(faces), 'ibug68', min_confidence, five_points)


def reason_of(result):
    assert isinstance(result, SkippedPhoto), result
    assert (result.source, result.split) == ('1.png', 'train')
    return result.reason


def decode(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)[:, :, ::-1]


def test_crop_around_landmarks(tmp_path):
    """60 pixels about (50, 40), red and blue not exchanged."""
    result = prepare_photo(task_of(write(tmp_path)), SETTINGS)
    assert isinstance(result, PreparedFace)
    assert (result.name, result.split, result.source, result.size) == ('1', 'train', '1.png', 48)
    assert (result.num_faces, result.confidence, result.moved, result.padding) == (1, None, (0, 0), (0, 0, 0, 0))
    assert result.crop_box == (21, 11, 81, 71)
    expected = Image.fromarray(scene()).crop((21, 11, 81, 71)).resize((48, 48), Image.BICUBIC)
    np.testing.assert_array_equal(decode(result.image), np.array(expected))
    assert result.landmarks.dtype == np.float32
    np.testing.assert_allclose(result.landmarks, (LANDMARKS - (21, 11) + 0.5) * 0.8 - 0.5, atol=1e-5)
    assert result.lq is None


def test_published_box_and_low_quality_image(tmp_path):
    """Other splits get the network's size, and lq from the rounded crop."""
    face = FoundFace(LANDMARKS * 0.4 + 30, box=BOX)
    result = prepare_photo(task_of(write(tmp_path), [face], split='test'), SETTINGS)
    assert result.size == 32 and result.crop_box == BOX
    crop = decode(result.image)
    assert crop.shape == (32, 32, 3)
    np.testing.assert_array_equal(decode(result.lq), make_lq(crop, 8))


def test_whole_crops(tmp_path):
    """They are unchanged if the size is right already, and so are the landmarks."""
    img, settings = scene(48, 48), SETTINGS._replace(whole=True)
    face = FoundFace(np.array([[10., 10.], [30., 12.]]), box=(5, 5, 20, 20))
    result = prepare_photo(task_of(write(tmp_path, img), [face]), settings)
    np.testing.assert_array_equal(decode(result.image), img)
    np.testing.assert_array_equal(result.landmarks, face.landmarks.astype(np.float32))
    assert result.crop_box == (0, 0, 48, 48)
    assert reason_of(prepare_photo(task_of(write(tmp_path)), settings)) == 'not square, but to be used whole (100x80)'


def test_largest_sure_face_wins(tmp_path):
    """The largest of all is not sure enough, and what is no number does not count."""
    faces = [
        FoundFace(LANDMARKS * 0.5 + 20, confidence=0.9),
        FoundFace(LANDMARKS * 0.8 + 10, confidence=0.7),
        FoundFace(LANDMARKS, confidence=0.2),
        FoundFace(LANDMARKS * np.nan, confidence=1.),
    ]
    result = prepare_photo(task_of(write(tmp_path), faces, min_confidence=0.5), SETTINGS)
    assert (result.confidence, result.num_faces) == (0.7, 2)
    result = prepare_photo(task_of(write(tmp_path), faces, min_confidence=0.5), SETTINGS._replace(min_confidence=0.1))
    assert (result.confidence, result.num_faces) == (0.2, 3)


@pytest.mark.parametrize('faces, reason', [
    ([], 'no face found'),
    ([FoundFace(LANDMARKS, confidence=0.123)], 'confidence too low (0.123, less than 0.5)'),
    ([FoundFace(LANDMARKS, confidence=float('nan'))], 'confidence too low (nan, less than 0.5)'),
    ([FoundFace(LANDMARKS * np.inf)], 'landmarks make no sense (not finite, or all in one place)'),
    ([FoundFace(np.full((68, 2), 3.))], 'landmarks make no sense (not finite, or all in one place)'),
    ([FoundFace(np.zeros((0, 2)))], 'landmarks make no sense (not finite, or all in one place)'),
    ([FoundFace(LANDMARKS * 0.2 + 30)], 'face too small (crop of 12 pixels, less than 16)'),
    ([FoundFace(LANDMARKS, box=BOX)], 'landmarks outside the crop (2 of 3)'),
    ([FoundFace(LANDMARKS, box=(30, 20, 30, 60))], 'the annotated box is empty'),
    ([FoundFace(LANDMARKS + 90)], 'most of the crop lies outside the photograph'),
    ([FoundFace(LANDMARKS * 1e12)], 'most of the crop lies outside the photograph'),
    ([FoundFace(LANDMARKS, box=(-10**9, -10**9, 10**9, 10**9))], 'most of the crop lies outside the photograph'),
])
def test_faces_that_cannot_be_used(tmp_path, faces, reason):
    assert reason_of(prepare_photo(task_of(write(tmp_path), faces, min_confidence=0.5), SETTINGS)) == reason


def test_five_point_error_by_hand():
    """Of 68 landmarks, only those that CelebA's points correspond to count."""
    points = np.array([[100.0, 100], [140, 100], [120, 120], [105, 140], [135, 140]])
    landmarks = np.full((68, 2), 1e6)
    circle = np.array([[-3, 0], [-1, -2], [1, -2], [3, 0], [1, 2], [-1, 2]])
    landmarks[36:42], landmarks[42:48] = points[0] + circle, points[1] + circle
    landmarks[[30, 48, 54]] = points[2:] + [[3, 4], [0, 0], [0, 0]]
    # 5 pixels in one of five points, eyes 40 pixels apart
    assert five_point_error(landmarks, 'ibug68', points) == pytest.approx(5 / 5 / 40)


def test_five_points(tmp_path):
    """Eyes 40 pixels apart: the points are 8 pixels from the landmarks, so the error is 0.2."""
    landmarks = np.array([[30., 20.], [70., 20.], [50., 40.], [35., 60.], [65., 60.]])
    task = task_of(write(tmp_path), [FoundFace(landmarks)], five_points=landmarks + (0, 8))._replace(order='celeba5')
    strict = SETTINGS._replace(max_error=0.15)
    for settings in (SETTINGS, SETTINGS._replace(max_error=0.25)):
        assert isinstance(prepare_photo(task, settings), PreparedFace)
    assert isinstance(prepare_photo(task._replace(five_points=None), strict), PreparedFace)
    assert reason_of(prepare_photo(task, strict)) == 'landmarks disagree with the five points (0.2, more than 0.15)'
    one_place = prepare_photo(task._replace(five_points=np.zeros((5, 2))), strict)
    assert reason_of(one_place).startswith("landmarks cannot be checked (CelebA's points [[0.0, 0.0],")


def jpeg(**options):
    stream = io.BytesIO()
    Image.fromarray(scene()).save(stream, 'JPEG', **options)
    return stream.getvalue()


def thumbnail_in_header(content):
    """The end of the thumbnail is not that of the image, which is cut."""
    return content[:2] + b'\xff\xe1' + (len(content) + 2).to_bytes(2, 'big') + content + content[2:-20]


TRUNCATED = 'cannot be decoded; the JPEG is truncated'
NO_IMAGE = 'cannot be decoded; the file is truncated, damaged or no image'


@pytest.mark.parametrize('content, reason', [
    *((jpeg(progressive=progressive)[:end], TRUNCATED) for progressive in (False, True) for end in (-1, -2, -10, 700)),
    (thumbnail_in_header(jpeg()), TRUNCATED),
    (b'\xff\xd8', TRUNCATED),
    (b'', f'{NO_IMAGE} (0 bytes)'),
    (b'\x89PNG\r\n\x1a\n', f'{NO_IMAGE} (8 bytes)'),
    (None, 'cannot be read (No such file or directory)'),
])  # yapf: disable
def test_no_whole_image(tmp_path, content, reason):
    """OpenCV 4 would fill the rest of a JPEG with grey."""
    if content is not None:
        (tmp_path / '1.png').write_bytes(content)
    assert reason_of(prepare_photo(task_of(Photo('1', str(tmp_path / '1.png'), '1.png')), SETTINGS)) == reason


def test_jpeg_with_data_of_the_camera_after_its_end(tmp_path):
    (tmp_path / '1.png').write_bytes(jpeg() + b'\0' * 100 + b'SEFT')
    result = prepare_photo(task_of(Photo('1', str(tmp_path / '1.png'), '1.png')), SETTINGS)
    assert isinstance(result, PreparedFace)


def test_jpeg_is_turned_as_its_tag_says(tmp_path):
    """Landmarks are those of the photograph as it is shown."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = write(tmp_path, scene(80, 100), '1.jpg', exif=exif, quality=95)
    result = prepare_photo(task_of(photo), SETTINGS)
    crop = decode(result.image).astype(int)
    # turned by a quarter clockwise, red grows downwards and green to the left
    assert crop[-1, :, 0].min() > crop[0, :, 0].max() and crop[:, 0, 1].min() > crop[:, -1, 1].max()


class OneFace:
    """Finds the same faces in every photograph."""

    def __init__(self, *faces):
        self.faces = faces

    def find(self, img):
        assert img.dtype == np.uint8 and img.shape == (80, 100, 3) and img[0, -1].tolist() == [255, 0, 20]
        return self.faces


def test_detector_sees_the_whole_photograph_in_rgb(tmp_path):
    task = task_of(write(tmp_path), None)
    result = prepare_photo(task, SETTINGS, OneFace(FoundFace(LANDMARKS, confidence=1.5)))
    assert (result.confidence, result.crop_box) == (1.5, (21, 11, 81, 71))
    assert reason_of(prepare_photo(task, SETTINGS, OneFace())) == 'no face found'
    with pytest.raises(ValueError, match='1.png: has no annotated faces, and no detector is given'):
        prepare_photo(task, SETTINGS)
