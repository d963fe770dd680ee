"""Parts of the benchmark: logs, costs, processes, records."""
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from dic_plugin.benchmark import machine as machine_module
from dic_plugin.benchmark.cost import measure_cost
from dic_plugin.benchmark.machine import Failed, Machine, num_threads, reason_of
from dic_plugin.benchmark.measure import own_landmark_errors
from dic_plugin.benchmark.plots import _error_limit
from dic_plugin.benchmark.report import facts
from dic_plugin.benchmark.training_log import read_training_log
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.cli import benchmark as cli
from helpers.benchmark_plan import write_plan


# ---------------------------------------------------------------- logs
def line(second, text):
    return f'2026-01-02 03:{second // 60:02d}:{second % 60:02d},500 INFO: {text}\n'


def iteration(second, number, epoch=0):
    return line(second,
                f'[train..][epoch:{epoch:3d}, iter:{number:8,d}, lr:(1.000e-03,)] [eta: 0:00:01, time (data): 9 (0)] ')


def validation(second, psnr):
    return line(second, 'Validation faces') + f'\t # psnr: {psnr:.4f}\tBest: 30.0000 @ 3 iter\n\n'


BEGIN = line(0, 'Start training from epoch: 0, iter: 0')
FIRST_EPOCH = BEGIN + iteration(50, 10) + iteration(100, 20)


@pytest.mark.parametrize('logs, seconds, first_epoch_only, curves', [
    # ten iterations take 20, 30 and 20 seconds; validation and what is before the first do not count
    ([BEGIN + iteration(20, 10) + line(25, 'Saving models.') + validation(60, 20) + iteration(90, 20) +
      iteration(110, 30) + line(111, 'End of training. Time consumed: 0:01:00') + validation(200, 25.5)],
     2, True, {'psnr': [(10, 20), (30, 25.5)]}),
    # a resumed training, which repeats the iterations from 11 to 20
    ([BEGIN + iteration(10, 10) + validation(11, 1) + iteration(30, 20),
      line(0, 'Start training from epoch: 0, iter: 10') + iteration(40, 20) + validation(41, 2)],
     (1 + 4) / 2, True, {'psnr': [(10, 1), (20, 2)]}),
    ([FIRST_EPOCH], 5, True, {}),
    ([FIRST_EPOCH + iteration(110, 30, epoch=1)], 1, False, {}),
    (['Traceback\n'], None, True, {}),
])  # yapf: disable
def test_times_and_curves_are_read_from_logs(tmp_path, logs, seconds, first_epoch_only, curves):
    for number, text in enumerate(logs):
        (tmp_path / f'train_x_20260102_03000{number}.log').write_text(text)
    assert read_training_log(tmp_path, 30) == (seconds, first_epoch_only, curves)


# ---------------------------------------------------------------- cost
COMPACT = dict(type='SRVGGNetCompact', num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=0, upscale=2)


@pytest.mark.parametrize('network, params, flops', [
    # a convolution, a PReLU and a convolution, at the input's size
    (COMPACT, 3 * 4 * 9 + 4 + 4 + 4 * 12 * 9 + 12, 2 * 48 * 64 * 9 * (3 * 4 + 4 * 12)),
    (dict(type='Bicubic', upscale=8), 0, 0),
])  # yapf: disable
def test_cost_of_networks_that_can_be_counted_by_hand(monkeypatch, network, params, flops):
    monkeypatch.setattr('dic_plugin.benchmark.cost.MIN_SECONDS', 0)
    peaks = iter([8192, 4096])  # the kernel counts in steps: a small peak may be below the start
    monkeypatch.setattr('dic_plugin.benchmark.cost._peak_memory', lambda device: next(peaks))
    cost = measure_cost(network, [48, 64], 2, 'cpu')
    assert (cost['params'], cost['flops'], cost['peak_memory']) == (params, flops, 0)
    assert cost['images_per_second'] > 0


def test_memory_is_measured_in_a_separate_process(tmp_path):
    """There no allocator has memory that earlier work has left."""
    options = tmp_path / 'cost.json'
    options.write_text(json.dumps(dict(network_g=COMPACT, lq_size=[512, 640], batch_size=4, device='cpu')))
    command = [sys.executable, '-m', 'dic_plugin.benchmark.cost', str(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = json.loads(done.stdout.splitlines()[-1])['peak_memory']
    output_bytes = 4 * 3 * 1024 * 1280 * 4
    assert peak is None or output_bytes <= peak < 10 * output_bytes


# ---------------------------------------------------------------- processes
@pytest.mark.parametrize('output, code, reason', [
    ('Traceback\n  File "x"\nValueError: no face\n', 1, 'ValueError: no face'),
    ('torch.OutOfMemoryError: CUDA out of memory.\n  see this\n', 1, 'torch.OutOfMemoryError: CUDA out of memory.'),
    ('Error in the options: network_g: no\nbye\n', 2, 'Error in the options: network_g: no'),
    ('something\nstrange\n', 3, 'strange'),
    ('', 3, 'exit status 3 without output'),
    ('half a line', -9, 'ended by SIGKILL (out of memory, or killed from outside?)'),
])  # yapf: disable
def test_reasons(output, code, reason):
    assert reason_of(output, code) == reason


def test_a_failing_process_says_why_and_its_log_holds_all(tmp_path):
    log = tmp_path / 'log.txt'
    log.write_text('ValueError: of an earlier run\n')
    with pytest.raises(Failed, match='^RuntimeError: really$'):
        Machine().run(['-c', 'print("before"); raise RuntimeError("really")'], log)
    assert 'before' in log.read_text() and 'Traceback' in log.read_text()


def test_processes_share_the_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(machine_module, 'num_cores', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    assert [num_threads(jobs) for jobs in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    names = ['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'CUDA_VISIBLE_DEVICES']
    code = f'import os; print(*(os.environ[name] for name in {names}))'
    Machine(jobs=2).run(['-c', code], tmp_path / 'cpu.txt')
    assert (tmp_path / 'cpu.txt').read_text().split() == ['4', '4']
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    assert num_threads(2) == 1


def test_every_gpu_is_one_slot(monkeypatch, tmp_path):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,7')
    machine = Machine(gpus=[0, 1], jobs=5)
    assert (machine.jobs, machine.num_gpu) == (2, 1)
    both = threading.Barrier(2, timeout=60)  # passed only if they run at the same time
    code = 'import os; print(os.environ["CUDA_VISIBLE_DEVICES"])'
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: machine.run(['-c', code], tmp_path / name, both.wait), 'ab'))
    assert {(tmp_path / name).read_text().strip() for name in 'ab'} == {'4', '7'}


def test_stopping_ends_children_and_starts_no_more(tmp_path):
    machine, failures = Machine(), []

    def work():
        try:
            machine.run(['-c', 'print("up", flush=True); import time; time.sleep(600)'], tmp_path / 'log')
        except Failed as error:
            failures.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    while not (tmp_path / 'log').exists() or 'up' not in (tmp_path / 'log').read_text():
        time.sleep(0.05)
    machine.stop()
    thread.join(60)
    assert failures == ['interrupted']
    with pytest.raises(Failed, match='interrupted'):
        machine.run(['-c', 'pass'], tmp_path / 'log')


def test_models_share_the_cores_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(cli, 'num_cores', lambda: 8)
    assert [cli._machine('none', jobs, 3).jobs for jobs in (None, 1, 5)] == [3, 1, 5]
    assert cli._machine('none', None, 20).jobs == 8


# ---------------------------------------------------------------- tables
def test_facts_that_make_figures_incomparable_are_listed():

    def run(name, batch, **training):
        model = SimpleNamespace(
            title=name, is_trained_here=True, options=dict(datasets=dict(train=dict(batch_size_per_gpu=batch))))
        return SimpleNamespace(name=name, model=model, training=training)

    def said(*runs):
        plan = SimpleNamespace(models={each.name: each.model for each in runs})
        outcome = SimpleNamespace(
            plan=plan,
            machine='here',
            test_set=SimpleNamespace(names=['face']),
            warnings=['a warning'],
            of=lambda _: runs,
            rows=[SimpleNamespace(run=each) for each in runs * 2])
        return facts(outcome, '2026-01-02')

    usual = said(run('A', 8, machine='here', date='2026-01-01'), run('B', 8))
    assert len(usual) == 5 and 'Batches of 8' in usual[2] and usual[-1] == 'a warning'
    odd = said(run('A', 8, first_epoch_only=True), run('B', 16, machine='there', date='2026-01-01'))
    assert 'Batch sizes differ (8 to 16 images)' in odd[2]
    assert any('first epoch' in line and line.endswith(': A.') for line in odd)
    assert sum(line.startswith('B was trained elsewhere (2026-01-01; there)') for line in odd) == 1


# ---------------------------------------------------------------- plots
def test_error_axis_reaches_the_best_model():
    good, bad = np.array([0.01, 0.05, 0.3]), np.array([0.15, 0.15, 0.15])
    assert _error_limit([bad]) == pytest.approx(0.2)
    assert _error_limit([bad, good[:2]]) == pytest.approx(0.1)
    assert _error_limit([good * 10]) == pytest.approx(0.5)


# ---------------------------------------------------------------- records
def test_only_equal_inputs_count_as_done(tmp_path):
    """Cut-off records and lost files do not count, nor does a stage that failed."""
    calls = []

    def done(stage='train', is_intact=True, work=lambda: dict(y=3), **inputs):
        calls.clear()
        workspace = Workspace(tmp_path)
        assert workspace.once('a', stage, inputs, lambda: calls.append('work') or work(), is_intact,
                              lambda: calls.append('reset')) == dict(y=3)  # yapf: disable
        return calls

    assert done(x=(1, 2)) == ['reset', 'work']
    assert done(x=[1, 2]) == []
    assert done(x=[1, 2], is_intact=False) == ['work']
    assert done('test', x=[1, 2]) == ['reset', 'work']
    assert done(x=[1]) == ['reset', 'work']
    with pytest.raises(ZeroDivisionError):
        done(x=[3], work=lambda: 1 / 0)
    assert done(x=[3]) == ['work']
    (tmp_path / 'records/a.train.json').write_text('{"inputs": ')  # by a full disk
    assert done(x=[3]) == ['reset', 'work']


@pytest.mark.skipif(sys.platform != 'linux', reason='needs prctl')
def test_a_training_ends_with_its_benchmark_killed_or_not(tmp_path):
    child = ('import time; from dic_plugin.benchmark.machine import end_with_parent; end_with_parent(); '
             f'open({str(tmp_path / "up")!r}, "w").close(); time.sleep(60)')
    parent = f'import subprocess, sys; subprocess.Popen([sys.executable, "-c", {child!r}]).wait()'
    process = subprocess.Popen([sys.executable, '-c', parent], stdout=subprocess.PIPE)  # both hold its output open
    while not (tmp_path / 'up').exists():
        time.sleep(0.05)
    process.kill()
    assert process.communicate(timeout=20)[0] == b''


@pytest.mark.skipif(sys.platform == 'win32', reason='there are no such locks on Windows')
def test_one_benchmark_at_a_time_uses_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr('dic_plugin.benchmark.workspace.LAST_MOMENTS', 0.1)
    workspace, machine = Workspace(tmp_path), Machine()
    with workspace.locked() as machine.kept_open:
        with pytest.raises(ValueError, match='is in use by another benchmark'), Workspace(tmp_path).locked():
            pass
        code = 'import os, sys, time\nprint("up", flush=True)\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)'
        thread = threading.Thread(target=machine.run, args=(['-c', code, str(tmp_path / 'end')], tmp_path / 'log'))
        thread.start()
        while not (tmp_path / 'log').exists() or 'up' not in (tmp_path / 'log').read_text():
            time.sleep(0.05)
    with pytest.raises(ValueError, match='left running'), Workspace(tmp_path).locked():  # by the child
        pass
    (tmp_path / 'end').touch()
    thread.join(60)
    with Workspace(tmp_path).locked():
        pass


@pytest.mark.skipif(not hasattr(signal, 'SIGHUP'), reason='there are no terminals to be closed on Windows')
@pytest.mark.parametrize('name, status', [('SIGTERM', 130), ('SIGHUP', 130), ('ignored', 1)])
def test_a_closed_terminal_is_an_interruption(tmp_path, monkeypatch, name, status):
    number = getattr(signal, name, signal.SIGHUP)

    def end(*_):
        os.kill(os.getpid(), number)
        raise ValueError('not interrupted')

    before = signal.signal(number, signal.SIG_IGN if name == 'ignored' else signal.SIG_DFL)  # nohup ignores it
    try:
        monkeypatch.setattr(cli, 'run_benchmark', end)
        assert cli.main(['-opt', str(write_plan(tmp_path)), '--gpus', 'none', '-o', str(tmp_path)]) == status
        assert signal.getsignal(number) == (signal.SIG_IGN if name == 'ignored' else signal.SIG_DFL)
    finally:
        signal.signal(number, before)


def test_a_model_that_finds_no_landmarks_has_no_errors_of_its_own(tmp_path):
    assert own_landmark_errors(tmp_path / 'absent.npz', SimpleNamespace(annotations=object())) == {}
