"""Writes the report of a benchmark into its folder."""
from datetime import date
from pathlib import Path
from typing import Dict

from dic_plugin.benchmark.gallery import gallery
from dic_plugin.benchmark.page import page
from dic_plugin.benchmark.plots import plots
from dic_plugin.benchmark.run import Outcome
from dic_plugin.benchmark.table import csv_text, json_text, markdown
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.utils.atomic_write import atomic_write, write_text


def write_report(outcome: Outcome, workspace: Workspace) -> Path:
    """Write ``table.md``, ``table.csv``, ``table.json``, the plots and ``index.html``; returns the last one's path."""
    today = date.today().isoformat()
    drawn = plots(outcome)
    texts: Dict[str, str] = {
        'table.md': markdown(outcome, today),
        'table.csv': csv_text(outcome),
        'table.json': json_text(outcome, today),
    }
    for name, picture in drawn.items():
        with atomic_write(str(workspace.root / f'{name}.png')) as temporary:
            Path(temporary).write_bytes(picture)
    pictures = {
        run.model.title: workspace.pictures(run.name, outcome.test_set.name)
        for run in outcome.of('iterations') if run.measured
    }
    texts['index.html'] = page(outcome, today, drawn, gallery(outcome, pictures) if pictures else '')
    for name, text in texts.items():
        write_text(workspace.root / name, text)
    return workspace.root / 'index.html'
