"""The whole benchmark on tiny networks: its files, repeated and resumed runs, and failures."""
import json
import multiprocessing
import re
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from basicsr.archs import build_network
from basicsr.data import build_dataset
from basicsr.utils.registry import METRIC_REGISTRY

from dic_plugin.benchmark.plan import read_plan
from dic_plugin.checkpoints.files import load_params
from dic_plugin.cli.benchmark import main
from dic_plugin.evaluation.evaluate import evaluate
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.landmarks.errors import nrmse
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from helpers import forked
from helpers.benchmark_plan import PLAN, write_plan

pytestmark = pytest.mark.slow

# Its result has half of the size, which only its training notices.
BROKEN = dict(
    title='Broken', network_g=dict(type='RRDBNet', num_in_ch=3, num_out_ch=3, scale=8, num_feat=4, num_block=1))

EDSR_AGAIN = dict(PLAN['models'], EDSR=dict(PLAN['models']['EDSR'], manual_seed=1))


def run(folder, *arguments, **changes):
    return main(['-opt', str(write_plan(folder, **changes)), '--jobs', '1', '--gpus', 'none', '-o', str(folder),
                 *arguments])  # yapf: disable


@pytest.fixture(scope='module', autouse=True)
def stages_begin_with_everything_imported():
    """test_to_the_end.py starts true processes."""

    def begin(command, env, stdout, **_):
        return forked.Forked(command[1:], env=env, stdout=stdout)

    if 'forkserver' not in multiprocessing.get_all_start_methods():
        yield
        return
    with mock.patch('dic_plugin.benchmark.machine.subprocess.Popen', begin):
        yield


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A benchmark of bicubic enlargement, EDSR, DIC and a network that fails; returns its folder and exit status."""
    folder = tmp_path_factory.mktemp('benchmark')
    status = run(folder, models=dict(PLAN['models'], broken=BROKEN))
    return folder / 'tiny', status


@pytest.fixture
def rows(finished):
    content = json.loads((finished[0] / 'table.json').read_text())
    return {row['model']: row for row in content['rows'] if row['table'] == 'iterations'}


def test_a_failing_model_leaves_its_reason_and_the_others_alone(finished, rows):
    folder, status = finished
    assert status == 1
    assert 'training: RuntimeError: The size of tensor a (32)' in rows['broken']['failed']
    assert [name for name, row in rows.items() if row['failed'] is None] == ['bicubic', 'EDSR', 'DIC']
    for name in ('table.md', 'table.csv', 'index.html'):
        assert 'The size of tensor a (32)' in (folder / name).read_text()


def test_figures_are_those_of_the_evaluation(finished, rows):
    folder, _ = finished
    evaluator = LandmarkEvaluator(str(folder / 'experiments/evaluator_judge/models/net_g_latest.pth'))
    for name in ('bicubic', 'EDSR', 'DIC'):
        evaluation = evaluate(
            str(folder / f'results/{name}/visualization/faces'), str(folder / 'test_set/gt'), ['basicsr-y', 'rgb'],
            {'': evaluator}, str(folder / 'test_set/annotations.npz'))
        found = {(column.measure, column.protocol): value for column, value in evaluation.results.items()}
        values = rows[name]['values']
        for key, measure in dict(
                psnr='basicsr-y', ssim='basicsr-y', nrmse='inter-ocular', failure_rate='inter-ocular').items():
            assert values[key] == pytest.approx(found[key, measure]._asdict(), rel=1e-5)
        assert values['nrmse_again'] == pytest.approx(values['nrmse'], rel=1e-4)  # landmarks are handed to metrics
        assert values['psnr_again']['mean'] == pytest.approx(found['psnr', 'rgb'].mean)  # by the plan's own metric
        shown = f'{found["psnr", "basicsr-y"].mean:.2f} [{found["psnr", "basicsr-y"].low:.2f}, '
        assert shown in (folder / 'table.md').read_text()


def test_dics_own_landmarks_have_their_own_column(finished, rows):
    options = read_plan(str(finished[0].parent / 'plan.yml')).models['DIC'].options
    network = build_network(dict(options['network_g'])).eval()
    network.load_state_dict(load_params(str(finished[0] / 'experiments/DIC/models/net_g_latest.pth'), 'params_ema'))
    errors = []
    for face in build_dataset(dict(PLAN['test_set'], phase='test', scale=8)):
        with torch.no_grad():
            heatmap = network(face['lq'][None], return_steps=True).heatmap[-1]
        errors.append(nrmse(decode_heatmaps(heatmap)[0].numpy(), face['landmarks'].numpy(), 'inter_ocular'))
    assert rows['DIC']['values']['nrmse_own']['mean'] == pytest.approx(np.mean(errors), rel=1e-4)
    assert rows['EDSR']['values']['nrmse_own'] is None


def test_costs_and_trainings_are_reported(rows):
    assert rows['bicubic']['values']['params'] == 0
    assert rows['EDSR']['cost']['params'] == 2 * (4 * 4 * 9 + 4) + 3 * 4 * 9 + 4 + 4 * 4 * 9 + 4 + 3 * (
        4 * 16 * 9 + 16) + 4 * 3 * 9 + 3
    assert rows['DIC']['values']['faces_per_second'] > 0
    assert rows['EDSR']['training']['iterations'] == 2
    assert [iteration for iteration, _ in rows['EDSR']['training']['curves']['psnr']] == [1, 2]
    assert rows['EDSR']['training']['seconds_per_iteration'] > 0
    assert [rows[name]['budget'] for name in ('bicubic', 'EDSR')] == ['none', '2']


def test_differences_are_of_pairs(finished, rows):
    content = json.loads((finished[0] / 'table.json').read_text())
    difference = content['differences']['iterations']['EDSR']['psnr']
    series = [np.array(rows[name]['per_image']['psnr_basicsr-y']) for name in ('EDSR', 'DIC')]
    assert difference['mean'] == pytest.approx((series[0] - series[1]).mean())
    assert set(content['differences']) == {'iterations'}  # there is no other table
    assert set(content['differences']['iterations']) == {'bicubic', 'EDSR'}


def test_quoted_figures_are_separate(finished):
    folder, _ = finished
    assert '99.5' not in (folder / 'table.csv').read_text()
    content = json.loads((folder / 'table.json').read_text())
    assert content['quoted'][0]['psnr'] == 99.5 and all('Quoted' != row['title'] for row in content['rows'])
    measured, quoted = (folder / 'table.md').read_text().split('## Quoted, not measured here')
    assert '99.50' not in measured and '99.50' in quoted and 'unconfirmed' in quoted


def test_csv_has_one_line_per_row(finished):
    frame = pd.read_csv(finished[0] / 'table.csv').set_index('model')
    assert frame.index.tolist() == ['bicubic', 'EDSR', 'DIC', 'broken']
    edsr = frame.loc['EDSR']
    assert edsr.psnr_low <= edsr.psnr <= edsr.psnr_high and np.isnan(frame.loc['broken'].psnr)
    for name in ('quality_and_cost', 'learning_curves', 'cumulative_error'):
        assert (finished[0] / f'{name}.png').read_bytes().startswith(b'\x89PNG')


def test_the_page_needs_no_network_and_shows_the_same_faces_across_models(finished):
    text = (finished[0] / 'index.html').read_text()
    references = re.findall(r'(?:src|href|srcset|data|action|poster)="([^"]*)"|url\(([^)]*)\)', text)
    assert references and all(''.join(each).startswith('data:image/png;base64,') for each in references)
    code = re.sub(r'data:image/png;base64,[A-Za-z0-9+/=]*', '', text)  # random letters, which may spell "http"
    assert '@import' not in code and 'http' not in code and 'fetch(' not in code

    captions = re.findall('<figcaption>(.*?)</figcaption>', text)
    assert captions == ['Input', 'Bicubic', 'EDSR', 'DIC', 'Truth'] * 2
    assert [text.count(f'<div class="view {kind}"') for kind in ('whole', 'eyes', 'mouth')] == [10, 10, 10]
    paths = re.findall('<path d="(.*?)"', text)
    assert len(paths) == 8 * 3 and all(path.count('M') == 68 for path in paths)  # not on the input
    assert 'Tiny &lt;faces&gt;' in text and 'Small &amp; quick.' in text and 'Tiny <faces>' not in text


def test_finished_stages_are_not_repeated_and_interrupted_ones_resume(finished, capsys):
    folder, _ = finished
    assert run(folder.parent, '--models', 'EDSR', 'bicubic') == 0
    assert '[' not in capsys.readouterr().out.split('# Tiny')[0]  # no stage was run

    # as if it had been interrupted after the first checkpoint
    models = folder / 'experiments/EDSR/models'
    (models / 'net_g_latest.pth').unlink()
    (folder / 'experiments/EDSR/training_states/2.state').unlink()
    assert run(folder.parent, '--models', 'EDSR') == 0
    said = capsys.readouterr().out
    assert '[EDSR] trains 2 iterations' in said and 'options have changed' not in said
    logs = sorted((folder / 'experiments/EDSR').glob('train_*.log'))
    assert 'Resuming training from epoch: 1, iter: 1.' in logs[-1].read_text()
    assert (models / 'net_g_latest.pth').is_file()


def test_changed_options_train_again_and_time_is_shared_out(finished, capsys):
    """EDSR with other options and then for a thousandth of a second, which is one iteration."""
    folder, _ = finished
    assert run(folder.parent, '--models', 'EDSR', models=EDSR_AGAIN, training_time=0.001) == 0
    said = capsys.readouterr().out
    assert '[EDSR] options have changed' in said and '[EDSR_time] trains 1 iterations' in said
    assert len(list((folder / 'experiments').glob('EDSR_archived_*'))) == 1
    content = json.loads((folder / 'table.json').read_text())
    assert [(row['table'], row['iterations']) for row in content['rows']] == [('iterations', 2), ('time', 1)]
    for name in ('table.md', 'index.html'):
        assert 'Equal training time' in (folder / name).read_text()


def test_the_report_is_written_in_spite_of_a_failing_metric_or_a_nan(finished, monkeypatch, capsys):
    folder, _ = finished

    def refuse(**_):
        raise AssertionError('two channels')

    monkeypatch.setitem(METRIC_REGISTRY._obj_map, 'refuse', refuse)
    file = folder / 'records/DIC.train.json'
    record = json.loads(file.read_text())
    record['result']['curves']['psnr'][0][1] = float('nan')
    file.write_text(json.dumps(record))
    metrics = dict(refused=dict(type='refuse', better='higher'))
    assert run(folder.parent, '--models', 'DIC', metrics=metrics) == 1
    row, = json.loads((folder / 'table.json').read_text())['rows']
    assert row['failed'] == 'measuring: metrics:refused (refuse): AssertionError: two channels'
    assert row['training']['curves']['psnr'][0][1] is None


def test_an_edited_metric_and_a_lost_picture_are_done_again(finished, monkeypatch, capsys):
    folder, _ = finished

    def measured():
        assert run(folder.parent, '--models', 'bicubic', metrics=dict(own=dict(type='own', better='higher'))) == 0
        row, = json.loads((folder / 'table.json').read_text())['rows']
        return row['values']['own']['mean'], capsys.readouterr().out

    monkeypatch.setitem(METRIC_REGISTRY._obj_map, 'own', lambda **_: 1)
    assert measured()[0] == 1
    monkeypatch.setitem(METRIC_REGISTRY._obj_map, 'own', lambda **_: 2)
    value, said = measured()
    assert value == 2 and 'tests 3 images' not in said
    next((folder / 'results/bicubic/visualization/faces').iterdir()).unlink()
    assert 'tests 3 images' in measured()[1]


def test_weights_that_are_not_an_evaluator_are_reported_first(finished, capsys):
    folder, _ = finished
    weights = str(folder / 'experiments/EDSR/models/net_g_latest.pth')
    assert run(folder.parent, '--models', 'bicubic', evaluators=dict(judge=dict(weights=weights))) == 1
    assert 'net_g_latest.pth' in capsys.readouterr().err


def test_option_errors_are_reported_on_one_line(tmp_path, capsys):
    assert run(tmp_path, gallery='many') == 2
    assert capsys.readouterr(
    ).err == "Error in the options: gallery is 'many'; expected a whole number of at least 0.\n"
    assert run(tmp_path, '--gpus', '0,x') == 2
    assert run(tmp_path, '--jobs', '0') == 2


def test_further_test_set_has_its_own_report_of_the_same_trainings(finished, capsys):
    folder, _ = finished  # of DIC, which no other test trains again
    weights = folder / 'experiments/DIC/models/net_g_latest.pth'
    trained = weights.stat().st_mtime_ns
    more = [dict(name='others', type='SyntheticFaceDataset', seed=4, num_images=2, gt_size=64)]
    assert run(folder.parent, '--models', 'bicubic', 'DIC', more_test_sets=more) == 0
    assert weights.stat().st_mtime_ns == trained
    assert not (folder / 'others/experiments').exists()
    content = json.loads((folder / 'others/table.json').read_text())
    assert content['title'] == 'Tiny <faces>: others' and content['num_images'] == 2
    rows = {row['model']: row for row in content['rows']}
    evaluation = evaluate(
        str(folder / 'others/results/DIC/visualization/others'), str(folder / 'others/test_set/gt'), ['basicsr-y'], {},
        None)
    found = {(column.measure, column.protocol): value for column, value in evaluation.results.items()}
    assert rows['DIC']['values']['psnr'] == pytest.approx(found['psnr', 'basicsr-y']._asdict(), rel=1e-5)
    assert rows['DIC']['training']['iterations'] == 2 and rows['DIC']['cost']['params'] > 0
    assert json.loads((folder / 'table.json').read_text())['num_images'] == 3
    out = capsys.readouterr().out
    assert out.count('The page: ') == 2 and 'trains' not in out
