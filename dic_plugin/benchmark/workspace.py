"""The results folder of a benchmark: where files are, and which stages are done with which inputs.

    benchmark.yml               the plan, as last run
    options/<run>_train.yml     BasicSR's option files, which can also be run by hand
    experiments/<run>/          output of BasicSR's training; results/<run>/ of its testing
    test_set/                   gt/, lq/, annotations.npz
    records/<run>.<stage>.json  inputs and result of a stage
    logs/<run>.<stage>.txt      output of its process
    table.md, index.html, ...   the report
    <test set>/                 the same for a further test set, without trainings
"""
import hashlib
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple

from basicsr.utils import get_time_str

from dic_plugin.utils.atomic_write import write_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LAST_MOMENTS = 15  # seconds in which the training of a killed benchmark saves and ends


class Workspace:
    """Paths below ``root``, and records of finished stages.

    Args:
        root: The folder.
        trainings: The workspace with the trainings. Default: this one.
    """

    def __init__(self, root: Path, trainings: Optional['Workspace'] = None) -> None:
        self.root = Path(root)
        self.trainings = trainings or self
        for folder in ('options', 'records', 'logs'):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[Tuple[int, ...]]:
        """Keep other benchmarks out of the folder while the block runs (not on Windows).

        Yields the open files that hold the lock. A child process that inherits them holds it if this process is killed,
        until it has saved and ended, see end_with_parent.

        Raises:
            ValueError: Another process holds the lock, for LAST_MOMENTS.
        """
        if fcntl is None:
            yield ()
            return
        with open(self.root / '.lock', 'w') as file:
            begin = time.monotonic()
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() - begin > LAST_MOMENTS:
                        raise ValueError(f'{self.root} is in use by another benchmark, or by a training that it has '
                                         'left running; expected one at a time. End it, or choose another folder '
                                         '(-o).') from None
                    time.sleep(0.2)
            yield (file.fileno(), )

    def log(self, run: str, stage: str) -> Path:
        """Return the file with the output of a stage."""
        return self.root / 'logs' / f'{run}.{stage}.txt'

    def experiment(self, run: str) -> Path:
        """Return BasicSR's experiment folder."""
        return self.root / 'experiments' / run

    def weights(self, run: str) -> Path:
        """Return the checkpoint of a finished training."""
        return self.experiment(run) / 'models' / 'net_g_latest.pth'

    def pictures(self, run: str, test_set: str) -> Path:
        """Return the folder of results that BasicSR's test loop writes."""
        return self.root / 'results' / run / 'visualization' / test_set

    def once(self,
             run: str,
             stage: str,
             inputs: Mapping[str, Any],
             work: Callable[[], Mapping[str, Any]],
             is_intact: bool = True,
             reset: Callable[[], None] = lambda: None) -> Dict[str, Any]:
        """Do a stage unless it is done: it finished with equal inputs, and its files are still there.

        Args:
            run, stage: The names of the stage.
            inputs: Everything that the result depends on, as JSON values.
            work: Does the stage and returns its result, as JSON values.
            is_intact: Whether the files of a finished stage are still there.
            reset: Called before a stage that was last begun with other inputs, or never.

        Returns:
            The result, as read back from JSON.
        """
        path = self.root / 'records' / f'{run}.{stage}.json'
        inputs = _as_read(inputs)
        try:
            record = json.loads(path.read_text(encoding='utf-8'))
        except (FileNotFoundError, json.JSONDecodeError):
            record = {}
        if record.get('inputs') != inputs:
            reset()
        elif is_intact and 'result' in record:
            return record['result']
        write_text(path, json.dumps(dict(inputs=inputs)))
        result = _as_read(work())
        write_text(path, json.dumps(dict(inputs=inputs, result=result)))
        return result


def _as_read(content: Mapping[str, Any]) -> Dict[str, Any]:
    return json.loads(json.dumps(content))  # not strict: figures may be NaN


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def set_aside(folder: Path) -> None:
    """Rename a folder, if it exists, as BasicSR does: with ``_archived_`` and the time."""
    if folder.exists():
        os.rename(folder, f'{folder}_archived_{get_time_str()}')
