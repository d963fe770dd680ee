"""The campaign of load: many visitors, many files, many iterations."""
import os
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import cv2
import numpy as np
from PIL import Image
from reliability_parts.forked import GIB, run_forked
from reliability_parts.samples import build, command, launched

from dic_plugin import launch
from dic_plugin.cli import infer

VISITORS, VISITS = 50, 3
FILES, EVERY = 20_000, 50  # one file in 50 is bad
ITERATIONS, FIRST = 5_000, 500
GROWTH = 1.05
LIMIT = 3600
PATIENCE = 300  # seconds of a visitor


def resident(pid: int) -> int:
    """Return the resident size of a process in bytes."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def run_load(work: Path, number: int, seed: int) -> Dict[str, Any]:
    """Run the three parts; ``number``: thousandths of the full sizes, 1000 for all."""
    valid = work / 'valid'
    build(valid)
    share = number / 1000
    parts = {
        'visitors': _visitors(valid, max(int(VISITORS * share), 3)),
        'files': _files(valid, max(int(FILES * share), 200)),
        'iterations': _iterations(valid, max(int(ITERATIONS * share), FIRST + 100)),
    }
    findings = [dict(kind=name, way='', wrong=wrong, said='') for name, (_, wrong) in parts.items() if wrong]
    return dict(cases=len(parts), by_kind={name: figures for name, (figures, _) in parts.items()}, findings=findings)


def _visitors(valid: Path, number: int) -> Tuple[Dict[str, Any], Optional[str]]:
    """Visitors of the page at once; each gives photographs of a colour of its own, and must get that colour back."""
    from gradio_client import Client, handle_file

    from dic_plugin.demo.page import served
    answers: Counter = Counter()
    wrong: List[str] = []
    sizes: List[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            sizes.append(resident(os.getpid()))

    def visit(address: str, visitor: int) -> None:
        client = Client(address, verbose=False, httpx_kwargs={'timeout': PATIENCE})
        for turn in range(VISITS):
            colour = np.random.RandomState(100 * visitor + turn).randint(40, 216, 3)
            path = valid / f'visitor_{visitor}_{turn}.png'
            Image.new('RGB', (128, 128), tuple(map(int, colour))).save(path)
            try:
                client.predict(handle_file(str(path)), fn_index=0)
                result = client.predict(str(valid / 'weights.pth'), '', True, False, fn_index=1)
            except Exception as error:  # the client's own types
                answers['busy' if 'queue' in str(error).lower() else 'error'] += 1
                if 'queue' not in str(error).lower():
                    wrong.append(str(error)[:200])
                continue
            answers['picture'] += 1
            shown = next(value for value in result if isinstance(value, str) and value.endswith('.png'))
            mean = cv2.imread(shown)[:, :, ::-1].reshape(-1, 3).mean(0)
            if np.abs(mean - colour).max() > 2 or f'visitor_{visitor}_{turn}' not in str(result):
                wrong.append(f'visitor {visitor} got another picture: {mean} for {colour}')

    begin = time.monotonic()
    with served(str(valid), str(valid / 'weights.pth'), 'cpu', None) as address:
        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(partial(visit, address), range(number)))
        done.set()
        watcher.join()
    figures = {**answers, 'seconds': round(time.monotonic() - begin, 1), 'largest MiB': max(sizes) >> 20}
    if not wrong and sum(answers.values()) != number * VISITS:
        wrong = ['not every visitor got an answer']
    if not wrong and max(sizes) > 3 * GIB:
        wrong = ['more than 3 GiB']
    return figures, wrong[0] if wrong else None


def _files(valid: Path, number: int) -> Tuple[Dict[str, Any], Optional[str]]:
    folder = valid / 'many'
    folder.mkdir()
    whole = [(valid / f'gt/face_{index}.png').read_bytes() for index in range(3)]
    for index in range(number):
        content = whole[index % 3]
        (folder / f'{index:06d}.png').write_bytes(content[:len(content) // 2] if index % EVERY == 7 else content)
    task = command(infer.main, '-i', 'many', '-o', 'out', '-w', 'weights.pth', '--aligned', '--device', 'cpu',
                   '--batch', '32')
    ending = run_forked(task, valid, valid.parent / 'said.txt', LIMIT)
    results, bad = len(list((valid / 'out').rglob('*.png'))), number // EVERY + (number % EVERY > 7)
    figures = {
        'files': number,
        'bad': bad,
        'results': results,
        'seconds': round(ending.seconds),
        'MiB': ending.memory >> 20
    }
    named = all(f'{index:06d}.png' in ending.said for index in range(7, number, EVERY))
    if ending.status != 0 or results != number - bad or not named or ending.memory > 2 * GIB:
        return figures, f'status {ending.status}, {results} results, every bad file named: {named}'
    return figures, None


def _iterations(valid: Path, number: int) -> Tuple[Dict[str, Any], Optional[str]]:
    """A training; its size, open files and processes are compared at iteration FIRST and at the end."""
    log = valid.parent / 'said.txt'
    task = launched(launch.train, '-opt', 'tiny.yml', '--force_yml', 'name=long', f'train:total_iter={number}',
                    'logger:print_freq=50', f'logger:save_checkpoint_freq={FIRST}', f'val:val_freq={FIRST}',
                    'train:ema_decay=0.9', 'datasets:train:num_worker_per_gpu=1',
                    'datasets:train:persistent_workers=true')  # yapf: disable
    samples: Dict[int, Tuple[int, int, int]] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            children = Path(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read_text().split()
            seen = re.findall(r'iter: +([\d,]+), lr', log.read_text(errors='replace')[-4000:]) if log.exists() else []
            try:
                for child in children[-1:] if seen else []:
                    below = Path(f'/proc/{child}/task/{child}/children').read_text().split()
                    figures = (resident(int(child)), len(os.listdir(f'/proc/{child}/fd')), len(below))
                    samples.setdefault(int(seen[-1].replace(',', '')), figures)  # when it is first seen
            except OSError:  # it has just ended
                pass

    log.unlink(missing_ok=True)
    watcher = threading.Thread(target=watch)
    watcher.start()
    ending = run_forked(task, valid, log, LIMIT)
    done.set()
    watcher.join()
    first = samples[min(iteration for iteration in samples if iteration >= FIRST + 50)]
    last = samples[max(iteration for iteration in samples if iteration < number)]
    figures = {
        'iterations': number,
        'seconds': round(ending.seconds),
        'MiB at 550': first[0] >> 20,
        'MiB at the end': last[0] >> 20,
        'files': f'{first[1]}, {last[1]}',
        'processes': f'{first[2]}, {last[2]}'
    }
    if ending.status != 0 or last[0] > GROWTH * first[0] or last[1] > first[1] or last[2] > first[2]:
        return figures, f'status {ending.status}; grew: {first} to {last} (bytes, files, processes)'
    return figures, None
