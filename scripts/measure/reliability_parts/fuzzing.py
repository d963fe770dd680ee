"""The campaign of fuzzing: every reader of a foreign format, guided by coverage."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

from reliability_parts.samples import build

SEEDS = {
    'pickle': 'list.pkl',
    'pts': 'pts/000002.pts',
    'csv': 'openface.csv',
    'npz': 'set_png/train.npz',
    'jpeg': 'face.jpg'
}
SCRIPT = Path(__file__).with_name('fuzz.py')


def run_fuzzing(work: Path, number: int, seed: int) -> Dict[str, Any]:
    """Fuzz each reader for ``number`` minutes; what makes one fail is kept in ``results/reliability/found``."""
    build(work / 'valid')
    found = Path('results/reliability/found')
    found.mkdir(parents=True, exist_ok=True)
    kinds, findings = {}, []
    for target, sample in SEEDS.items():
        corpus = work / target
        corpus.mkdir()
        shutil.copy(work / 'valid' / sample, corpus)
        limits = [f'-max_total_time={max(60 * number, 5)}', '-timeout=20', '-rss_limit_mb=2048', '-max_len=20000']
        how = [f'-seed={seed + 1}', f'-artifact_prefix={found.resolve()}{os.sep}{target}_', '-print_final_stats=1']
        command = [sys.executable, SCRIPT, target, work / 'input', corpus, *limits, *how]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors='replace')
        runs = re.findall(r'number_of_executed_units: (\d+)', done.stderr)
        edges = re.findall(r' ft: (\d+)', done.stderr)
        kinds[target] = {'runs': int(runs[-1]) if runs else 0, 'features': int(edges[-1]) if edges else 0}
        if done.returncode or not runs:
            findings.append(
                dict(kind=target, way='fuzzed', wrong=f'status {done.returncode}', said=done.stderr[-1500:]))
    return dict(cases=len(SEEDS), by_kind=kinds, findings=findings)
