"""The benchmark's YAML: the shipped files, merged options, scaled budgets, and error messages."""
import glob
import os
import re

import numpy as np
import pytest
import torch
from basicsr.archs import build_network
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dic_plugin.archs import Bicubic
from dic_plugin.benchmark.options import PLUGIN, merge, option_text, with_iterations
from dic_plugin.benchmark.plan import read_plan
from dic_plugin.synthetic import draw_face
from dic_plugin.utils.option_check import OptionError
from dic_plugin.utils.option_yaml import read_yaml
from helpers.benchmark_plan import PLAN, write_plan
from helpers.paths import ROOT

FILES = sorted(glob.glob(os.path.join(ROOT, 'options/benchmark/*.yml')))


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)  # recipes are named relative to it


# ---------------------------------------------------------------- shipped files
@pytest.mark.parametrize('file', FILES, ids=os.path.basename)
def test_shipped_plans_are_read_and_give_their_command(file):
    assert len(FILES) == 4
    plan = read_plan(file)
    name = os.path.basename(file)
    assert plan.name + '.yml' == name
    assert {'bicubic', 'EDSR', 'RCAN', 'SwinIR', 'DIC', 'DICGAN'} <= set(plan.models)
    with open(file) as lines:
        assert f'dic-benchmark -opt options/benchmark/{name}' in lines.read()
    # A pretrained hourglass would be a training that the others do not have.
    assert 'pretrain_network_hourglass' not in plan.models['DIC'].options.get('path', {})


@pytest.mark.parametrize('data, model, psnr, ssim', [('celeba', 'DIC', 27.37, .7962),
                                                     ('celeba', 'DICGAN', 26.34, .7562), ('helen', 'DIC', 26.69, .7933),
                                                     ('helen', 'DICGAN', 25.96, .7624)])
def test_figures_of_the_paper_are_quoted_as_unconfirmed(data, model, psnr, ssim):
    rows = [row for row in read_plan(f'options/benchmark/{data}_x8.yml').references if row['model'] == model]
    assert [(row['psnr'], row['ssim'], row['confirmed']) for row in rows] == [(psnr, ssim, False)]


@pytest.mark.parametrize('data, name', [(data, name) for data in ('synthetic', 'photos')
                                        for name in read_yaml(f'{ROOT}/options/benchmark/{data}_x8.yml')['models']])
def test_models_enlarge_eight_times_at_matched_sizes(data, name):
    network = build_network(dict(read_plan(f'options/benchmark/{data}_x8.yml').models[name].options['network_g']))
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 3, 16, 16)).shape == (1, 3, 128, 128)
    if name != 'bicubic':
        assert 0.7e6 < sum(param.numel() for param in network.parameters()) < 1.1e6


def test_compact_dic_is_that_of_its_recipe():
    models = read_plan('options/benchmark/synthetic_x8.yml').models
    for name in ('DIC', 'DICGAN'):
        recipe = read_yaml(f'options/train_{name}.yml')
        options = models[name].options
        assert options['network_g'] == {
            **recipe['network_g'],
            **options['network_g']
        } and not set(options['network_g']) - set(recipe['network_g'])
        assert options['train']['heatmap_opt'] == recipe['train']['heatmap_opt']
        assert options['train']['optim_g'] == recipe['train']['optim_g']


def test_bicubic_is_pillows():
    """DICModel's validation and most papers enlarge by Pillow; without 8 bits in between they differ by a level."""
    image = np.ascontiguousarray(draw_face(0, 0, 128)[0][::8, ::8])
    expected = np.asarray(Image.fromarray(image).resize((128, 128), Image.BICUBIC), float)
    ours = Bicubic(8)(torch.from_numpy(image.transpose(2, 0, 1)[None] / 255.).float())[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(ours - expected).max() < 1.5
    assert np.abs(ours - expected).mean() < 0.4


# ---------------------------------------------------------------- merging and budgets
@pytest.mark.parametrize('changes, merged', [
    (dict(a=dict(q=dict(s=3))), dict(a=dict(type='x', p=1, q=dict(r=2, s=3)), b=1)),
    (dict(a=dict(type='y')), dict(a=dict(type='y'), b=1)),
    (dict(a=None, c=2), dict(a=None, b=1, c=2)),
])  # yapf: disable
def test_a_section_with_another_type_is_replaced(changes, merged):
    base = dict(a=dict(type='x', p=1, q=dict(r=2)), b=1)
    assert merge(base, changes) == merged
    assert base == dict(a=dict(type='x', p=1, q=dict(r=2)), b=1)


@given(st.integers(1, 10000), st.integers(1, 10000))
def test_a_stretched_training_keeps_its_shape(before, after):
    options = dict(
        train=dict(
            total_iter=before,
            warmup_iter=-1,
            net_d_init_iters=0,
            release_hourglass_iter=before,
            ema_decay=0.999,
            scheduler=dict(periods=[before], milestones=[before // 2 + 1])),
        logger=dict(print_freq=12))
    train = with_iterations(options, after)['train']
    assert train['total_iter'] == train['release_hourglass_iter'] == train['scheduler']['periods'][0] == after
    assert (train['warmup_iter'], train['net_d_init_iters']) == (-1, 0)
    assert train['scheduler']['milestones'][0] == pytest.approx((before // 2 + 1) * after / before, abs=1)
    assert train['ema_decay'] == pytest.approx(1 - min(1, 0.001 * before / after))  # averages the same share of it
    print_freq = with_iterations(options, after)['logger']['print_freq']
    assert 12 % print_freq == 0 and (print_freq <= after / 4 or print_freq == 1)
    assert options['train']['total_iter'] == before


def test_iterations_change_all_budgets_in_proportion(tmp_path):
    gan = dict(PLAN['models']['DIC'], starts_from='EDSR', train=dict(total_iter=6, warmup_iter=2))
    models = dict(PLAN['models'], GAN=gan)
    plan = read_plan(str(write_plan(tmp_path, models=models, training_time=60)), iterations=20)
    assert {name: model.iterations for name, model in plan.models.items()} == dict(bicubic=0, EDSR=20, DIC=20, GAN=60)
    assert plan.training_time == 600
    assert plan.models['GAN'].options['train']['warmup_iter'] == 20
    assert read_plan(str(write_plan(tmp_path, models=models)), only=['GAN']).models.keys() == {'EDSR', 'GAN'}


@given(st.lists(st.integers(1, 500), min_size=1, max_size=8), st.integers(1, 3000))
def test_periods_last_as_long_as_the_training(periods, after):
    """Each rounded on its own they would end before it, and then there is no learning rate."""
    options = dict(train=dict(total_iter=sum(periods), scheduler=dict(periods=periods)))
    stretched = with_iterations(options, after)['train']['scheduler']['periods']
    assert len(stretched) == len(periods) and min(stretched) >= 1
    assert sum(stretched) == after or (sum(stretched) > after and 1 in stretched)


def test_what_a_plan_may_leave_out(tmp_path):
    defaults = {key: value for key, value in PLAN['defaults'].items() if key != 'val'}
    defaults['train'] = dict(defaults['train'], ema_decay=None)
    defaults['datasets'] = dict(train=defaults['datasets']['train'])
    plan = read_plan(str(write_plan(tmp_path, defaults=defaults, evaluators=None, references=None)))
    assert plan.models['EDSR'].param_key == 'params' and plan.evaluators == plan.references == []
    assert read_plan(
        str(write_plan(tmp_path, defaults=dict(PLAN['defaults'], val=dict(val_freq=1, save_img=False, metrics=None)))))


def test_written_option_files_are_basicsrs(tmp_path):
    text = option_text(dict(name='x', train=dict(lr=1e-4, milestones=(1, 2), nothing=None)), 'comment')
    assert text.startswith('# comment\n') and PLUGIN in text
    path = tmp_path / 'x.yml'
    path.write_text(text)
    assert read_yaml(str(path)) == dict(
        plugin='dic_plugin.__version__', name='x', train=dict(lr=1e-4, milestones=[1, 2], nothing=None))


# ---------------------------------------------------------------- mistakes
def with_model(**changes):
    return dict(models=dict(PLAN['models'], EDSR={**PLAN['models']['EDSR'], **changes}))


@pytest.mark.parametrize('changes, message', [
    (dict(naem='x'), "naem: no such option; did you mean 'name'"),
    (dict(name='a/b'), "name is 'a/b'; expected a folder name"),
    (dict(models={}), 'models: missing; expected options'),
    (dict(models=dict(debug_net=PLAN['models']['EDSR'])), "models:debug_net is 'debug_net'; expected a folder name"),
    (dict(models=dict(EDSR_time=PLAN['models']['EDSR'])), "no '_time' or '_end' at the end"),
    (with_model(network_g=dict(type='EDRS')), "models:EDSR: network_g:type: EDRS: no such arch; "),
    (with_model(network_g=dict(type='EDSR', num_in_ch=3, num_out_ch=3, num_featt=4)), "did you mean 'num_feat'"),
    (with_model(starts_from='DIC'), 'expected a model listed above it: bicubic'),
    (with_model(starts_from='bicubic'), 'which has no weights'),
    (with_model(weights='nowhere.pth'), "models:EDSR:weights is 'nowhere.pth'; expected an existing checkpoint"),
    (with_model(untrained='perhaps'), "untrained is 'perhaps'; expected true or false"),
    (with_model(num_gpu=2), 'models:EDSR:num_gpu: the benchmark sets this option'),
    (with_model(train=dict(total_iter=0)), 'models:EDSR: train:total_iter is 0'),
    (with_model(logger=dict(print_freq=2)), 'save_checkpoint_freq is 1; expected a multiple of logger:print_freq'),
    (dict(test_set=dict(name='x', type='SyntheticFaces')), "test_set:type: SyntheticFaces: no such dataset"),
    (dict(test_set=dict(name='x')), 'test_set:type: missing'),
    (dict(more_test_sets=[dict(name='x')]), 'more_test_sets:0:type: missing'),
    *[(dict(more_test_sets=[dict(PLAN['test_set'], name=name)]), f"more_test_sets:0:name is '{name}', which is taken")
      for name in ('faces', 'records')],
    (dict(more_test_sets=[dict(PLAN['test_set'], name='a/b')]), "more_test_sets:0:name is 'a/b'; expected a folder"),
    (dict(evaluators=dict(a=dict(title='x'))), 'evaluators:a: expected either weights'),
    (dict(evaluators=dict(own=dict(recipe='x.yml'))), "evaluators:own: 'own' denotes the landmarks"),
    (dict(evaluators=dict(a=dict(weights='nowhere.pth'))), "evaluators:a:weights is 'nowhere.pth'; expected"),
    (dict(protocols=[]), 'protocols is []; expected a list (`- ...` lines) with at least one item'),
    (dict(protocols=['basicsr']), "protocols: basicsr: no such protocol; did you mean 'basicsr-y'"),
    (dict(landmark_error='inter_ocular'), "did you mean 'inter-ocular'"),
    (dict(metrics=dict(m=dict(type='calculate_psnr'))), 'metrics:m:better: missing; expected higher or lower'),
    (dict(metrics=dict(m=dict(type='calculate_psn', better='higher'))), "did you mean 'calculate_psnr'"),
    (dict(training_time='bicubic'), "training_time is 'bicubic'; expected seconds, or the name of a model trained"),
    (dict(compare_with='DICK'), "compare_with: DICK: no such model; did you mean 'DIC'"),
    (dict(gallery=-1), 'gallery is -1; expected a whole number of at least 0'),
    (dict(references=[dict(model='x')]), 'references:0:data: missing'),
    (dict(references=dict(model='x')), "references is {'model': 'x'}; expected a list"),
    (dict(references=[dict(PLAN['references'][0], psnr='many')]), "references:0:psnr is 'many'; expected a number"),
    (dict(references=[dict(PLAN['references'][0], confirmed='maybe')]), "confirmed is 'maybe'; expected true or false"),
    (dict(evaluators=['judge']), "evaluators is ['judge']; expected options"),
    (dict(metrics=['psnr']), "metrics is ['psnr']; expected options"),
    *[(dict(metrics={name: dict(type='calculate_psnr', better='higher')}), f'metrics:{name}: the tables have a')
      for name in ('psnr', 'ssim_basicsr-y', 'params', 'nrmse', 'ssim_low', 'nrmse_judge')],
    (dict(metrics=dict(m=dict(type='calculate_psnr', better='higher', digits='two'))), "metrics:m:digits is 'two'"),
    (with_model(title=2), 'models:EDSR:title is 2; expected text'),
    (with_model(title=['a']), "models:EDSR:title is ['a']; expected text"),
    (with_model(title='Bicubic'), "models:EDSR:title is 'Bicubic', which is also the title of bicubic"),
    (with_model(param_key='ema'), "models:EDSR:param_key is 'ema'; expected params or params_ema"),
    (with_model(logger=dict(print_freq=0)), 'logger:print_freq is 0; expected a whole number of at least 1'),
])  # yapf: disable
def test_mistakes_are_named(tmp_path, changes, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        read_plan(str(write_plan(tmp_path, **changes)))


@pytest.mark.parametrize('file, arguments, message', [
    ('nothing.yml', {}, 'nothing.yml: No such file'),
    ('list.yml', {}, 'expected the keys of a benchmark'),
    ('evil.yml', {}, 'not an option file'),
    ('plan.yml', dict(only=['EDRS']), "--models: EDRS: no such model; did you mean 'EDSR'"),
    ('plan.yml', dict(iterations=0), '--iterations is 0'),
])  # yapf: disable
def test_unusable_files_and_arguments_are_named(tmp_path, file, arguments, message):
    write_plan(tmp_path)
    (tmp_path / 'list.yml').write_text('[1, 2]')
    (tmp_path / 'evil.yml').write_text(f'a: !!python/object/apply:os.mkdir ["{tmp_path}/made"]\n')
    with pytest.raises(OptionError, match=message):
        read_plan(str(tmp_path / file), **arguments)
    assert not (tmp_path / 'made').exists()  # nothing in a file is run
