"""The results folder of a benchmark: where everything is, and what has been done with which inputs.

    benchmark.yml               the plan, as last run
    options/<run>_train.yml     BasicSR's option files, which can be run by hand, too
    experiments/<run>/          what BasicSR's training writes; results/<run>/ what its testing writes
    test_set/                   gt/, lq/, annotations.npz
    records/<run>.<stage>.json  what a stage was given and what came out
    logs/<run>.<stage>.txt      what its process said
    table.md, index.html, ...   the report
"""
import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from basicsr.utils import get_time_str

from dic_plugin.utils.atomic_write import write_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Workspace:
    """Paths below ``root``, and records of finished stages.

    A stage is done if it finished with equal inputs: what has changed is done again, what has not is not.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        for folder in ('options', 'records', 'logs'):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[Tuple[int, ...]]:
        """Inside, nobody else uses the folder (not on Windows).

        Yields the open files that hold it. A child process that keeps them open holds it, too, if this one is killed.

        Raises:
            ValueError: somebody else does.
        """
        if fcntl is None:
            yield ()
            return
        with open(self.root / '.lock', 'w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f'{self.root} is in use by another benchmark, or by a training that it has left '
                                 'running; expected one at a time. End it, or choose another folder (-o).') from None
            yield (file.fileno(), )

    # ---------------------------------------------------------------- paths
    def option_file(self, run: str, what: str) -> Path:
        """The option file of a run; ``what``: train or test."""
        return self.root / 'options' / f'{run}_{what}.yml'

    def log(self, run: str, stage: str) -> Path:
        """What the process of a stage printed."""
        return self.root / 'logs' / f'{run}.{stage}.txt'

    def experiment(self, run: str) -> Path:
        """BasicSR's experiment folder."""
        return self.root / 'experiments' / run

    def weights(self, run: str) -> Path:
        """The checkpoint that a finished training leaves."""
        return self.experiment(run) / 'models' / 'net_g_latest.pth'

    def pictures(self, run: str, test_set: str) -> Path:
        """The results of BasicSR's test loop."""
        return self.root / 'results' / run / 'visualization' / test_set

    # ---------------------------------------------------------------- records
    def finished(self, run: str, stage: str, inputs: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        """What came out of a stage that finished with these inputs; None if none did."""
        record = self.record(run, stage)
        return record.get('result') if record and record['inputs'] == _plain(inputs) else None

    def began(self, run: str, stage: str, inputs: Mapping[str, Any]) -> bool:
        """Whether this stage was last begun with these inputs, finished or not."""
        record = self.record(run, stage)
        return record is not None and record['inputs'] == _plain(inputs)

    def begin(self, run: str, stage: str, inputs: Mapping[str, Any]) -> None:
        """Note that a stage is under way."""
        self._write(run, stage, dict(inputs=inputs))

    def finish(self, run: str, stage: str, inputs: Mapping[str, Any], result: Mapping[str, Any]) -> Dict[str, Any]:
        """Note what came out; returns it as it will be read."""
        self._write(run, stage, dict(inputs=inputs, result=result))
        return _plain(result)

    def record(self, run: str, stage: str) -> Optional[Dict[str, Any]]:
        """The record of a stage: ``inputs``, and ``result`` if it is finished; None if none can be read."""
        try:
            return json.loads(self._path(run, stage).read_text(encoding='utf-8'))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def _write(self, run: str, stage: str, content: Mapping[str, Any]) -> None:
        write_text(self._path(run, stage), json.dumps(content))  # figures may be NaN

    def _path(self, run: str, stage: str) -> Path:
        return self.root / 'records' / f'{run}.{stage}.json'


def _plain(content: Any) -> Any:
    """The content as it comes back from JSON."""
    return json.loads(json.dumps(content))


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def set_aside(folder: Path) -> None:
    """Rename a folder as BasicSR does, with ``_archived_`` and the time, if it is there."""
    if folder.exists():
        os.rename(folder, f'{folder}_archived_{get_time_str()}')
