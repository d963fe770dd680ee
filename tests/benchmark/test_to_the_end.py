"""The third table of the benchmark: the best models are trained twice as long until that gains little."""
import json
from types import SimpleNamespace

import pytest

from dic_plugin.benchmark import outcome
from dic_plugin.benchmark.outcome import run_benchmark
from dic_plugin.benchmark.plan import read_plan
from dic_plugin.benchmark.tables import budget
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.cli.benchmark import main
from dic_plugin.utils.option_check import OptionError
from helpers.benchmark_plan import PLAN, write_plan

NAMES = [f'EDSR{number}' for number in range(7)]


class FakeStages:
    """Training takes no time; the PSNR of EDSR<number> is 20 + number - 8 / (number + 1) / iterations dB."""

    def __init__(self, plan, workspace, machine, test_set, say):
        self.test_set, self.say = test_set, say

    def train(self, run, start=None):
        if run.name == 'EDSR4_end4':
            raise OSError('the disk is full')
        if run.model.is_trained_here:
            number = int(run.model.name[4])
            psnr = 20 + number - 8 / (number + 1) / run.model.iterations
            run.training = dict(iterations=run.model.iterations, seconds_per_iteration=1, curves=dict(psnr=[(1, psnr)]))

    def train_evaluator(self, plan):
        return 'judge.pth'

    def test(self, run):
        pass

    def measure(self, run, evaluators, weights):
        run.measured = dict(estimates={}, values={})

    def cost(self, run):
        pass


@pytest.fixture(params=[None, 3])
def outcomes(tmp_path, monkeypatch, request):
    """Without a table of equal training time, and with one of 3 s, which are 3 iterations."""
    monkeypatch.setattr(outcome, 'Stages', FakeStages)
    monkeypatch.setattr(outcome, 'LandmarkEvaluator', lambda *_: None)
    monkeypatch.setattr(outcome, 'write_test_set', lambda *_: None)
    models = {
        'bicubic': PLAN['models']['bicubic'],
        **{
            name: dict(PLAN['models']['EDSR'], title=name)
            for name in NAMES
        }
    }
    models['EDSR6']['starts_from'] = 'EDSR0'
    plan = read_plan(
        str(write_plan(tmp_path, models=models, compare_with=None, to_the_end=0.3, training_time=request.param)))
    machine = SimpleNamespace(device='cpu', stop=lambda: None, description=lambda: 'here')
    return list(run_benchmark(plan, Workspace(tmp_path / 'out'), machine, lambda line: None))


def test_every_row_is_measured(outcomes):
    assert all(row.run.measured or row.run.failed for each in outcomes for row in each.rows)


@pytest.mark.parametrize('outcomes', [None], indirect=True)
def test_the_best_are_trained_twice_as_long_until_that_gains_less(outcomes):
    """The gain from n iterations on is 4 / (number + 1) / n dB; EDSR4 fails, EDSR0 is sixth best."""
    tables = [{run.model.name: run for run in each.of('end')} for each in outcomes]
    assert [list(each) for each in tables] == [[]] + [['EDSR5', 'EDSR4', 'EDSR3', 'EDSR2', 'EDSR1']] * 3
    assert [[run.model.iterations for run in each.values()] for each in tables[1:]] == [
        [4, 4, 4, 4, 4], [8, 4, 8, 8, 8], [8, 4, 8, 16, 16]]  # yapf: disable
    assert tables[1]['EDSR2'].gain == pytest.approx(2 / 3) and tables[2]['EDSR2'].gain == pytest.approx(1 / 3)
    assert tables[1]['EDSR4'].failed == 'training: the disk is full'
    assert budget(tables[2]['EDSR1'], {}) == '8 (the last doubling: +0.50 dB)'


@pytest.mark.slow
def test_the_table_is_reported_and_grows_only_where_it_has_to(tmp_path, capsys):
    path = write_plan(tmp_path, to_the_end=1000)
    arguments = ['-opt', str(path), '--models', 'bicubic', 'EDSR', '--jobs', '1', '--gpus', 'none', '-o', str(tmp_path)]
    assert main(arguments) == 0
    assert '[EDSR_end4] trains 4 iterations' in capsys.readouterr().out
    rows = json.loads((tmp_path / 'tiny/table.json').read_text())['rows']
    assert [(row['table'], row['model'], row['iterations']) for row in rows] == [
        ('iterations', 'bicubic', 0), ('iterations', 'EDSR', 2), ('end', 'EDSR', 4)]  # yapf: disable
    assert rows[2]['values']['psnr']['mean'] > 0 and abs(rows[2]['gain']) < 1000
    for name in ('table.md', 'index.html'):
        assert 'To the end: the best models, trained twice as long' in (tmp_path / 'tiny' / name).read_text()
    assert main(arguments) == 0
    assert 'trains' not in capsys.readouterr().out.split('# Tiny')[0]


@pytest.mark.parametrize('changes, message', [
    (dict(to_the_end=0), 'to_the_end is 0; expected a number above 0'),
    (dict(to_the_end=1, defaults=dict(PLAN['defaults'], val=None)), 'expected val:metrics:psnr of every trained model'),
    (dict(models=dict(EDSR_end8=PLAN['models']['EDSR'])), "no '_time' or '_end' at the end"),
])
def test_what_the_plan_needs(tmp_path, changes, message):
    with pytest.raises(OptionError, match=message):
        read_plan(str(write_plan(tmp_path, **{'compare_with': None, **changes})))
