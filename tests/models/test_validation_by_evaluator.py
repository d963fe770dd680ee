"""Validation of a face model by the landmarks that a separate network finds on its pictures."""
import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset

from dic_plugin.archs import StackedHourglass
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.landmarks.errors import nrmse
from dic_plugin.synthetic import draw_face
from dic_plugin.utils.option_check import OptionError
from helpers.tiny_training import build, options

NRMSE = dict(type='calculate_nrmse', better='lower')


def save_evaluator(tmp_path):
    torch.manual_seed(0)
    path = str(tmp_path / 'evaluator.pth')
    torch.save({'params': StackedHourglass(num_feat=8, num_stacks=1).state_dict()}, path)
    return path


def test_metrics_are_of_the_landmarks_that_the_evaluator_finds(tmp_path):
    """On the pictures as they are saved, of every step and of bicubic enlargement, too."""
    path = save_evaluator(tmp_path)
    metrics = dict(own=NRMSE, judged=dict(NRMSE, found_by='evaluator', norm='outer_eye'))
    model = build(options(tmp_path, is_train=False, val=dict(evaluator=path, metrics=metrics)))
    tables = []
    model._record = lambda means, *_: tables.append(means)
    model.validation(torch.utils.data.DataLoader(build_dataset(model.opt['datasets']['val'])), 5, None, True)

    means = tables[0]
    assert [set(row) for row in means.values()] == [{'judged'}, {'own', 'judged'}, {'own', 'judged'}]
    evaluator, errors = LandmarkEvaluator(path), []
    for index in range(3):
        picture = cv2.imread(str(tmp_path / f'pictures/synthetic/synthetic_1_{index:06d}_train_DIC.png'))[..., ::-1]
        errors.append(nrmse(evaluator.landmarks_of(picture)[True], draw_face(1, index, 64)[1], 'outer_eye'))
    assert means['step 2']['judged'] == pytest.approx(np.mean(errors), rel=1e-5)


@pytest.mark.parametrize('val, message', [
    (dict(metrics=dict(a=dict(NRMSE, found_by='evaluator'))), 'val:metrics:a:found_by is evaluator, but there is no'),
    (dict(metrics=dict(a=dict(NRMSE, found_by='HG'))), "found_by is 'HG'; expected model or evaluator"),
    (dict(metrics=dict(a=dict(NRMSE, foundby='evaluator'))), "no such option; did you mean 'found_by'"),
    (dict(metrics=dict(a=dict(type='calculate_psnr', crop_border=8, found_by='model'))), 'does not use landmarks'),
    (dict(evaluatr='x'), "val:evaluatr: no such option; did you mean 'evaluator'"),
])  # yapf: disable
def test_mistaken_options_are_named(tmp_path, val, message):
    with pytest.raises(OptionError, match=message):
        build(options(tmp_path, val=val))
