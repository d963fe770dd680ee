"""Coverage-guided fuzzing of one reader, in a process of its own: fuzz.py TARGET FILE [arguments of libFuzzer].

A reader may return, or raise what it documents. Needs `pip install atheris`, which is made for Linux and few Pythons.
"""
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
READERS = ('dic_plugin.prepare.formats', 'dic_plugin.data.annotations', 'dic_plugin.data.image_file')
with atheris.instrument_imports(include=list(READERS)):
    from dic_plugin.data.annotations import FaceAnnotations
    from dic_plugin.data.image_file import decode_image
    from dic_plugin.prepare.formats.ibug_pts import read_pts
    from dic_plugin.prepare.formats.openface_csv import read_openface
    from dic_plugin.prepare.formats.restricted_pickle import load_plain_pickle

TARGETS = {
    'pickle': load_plain_pickle,
    'pts': read_pts,
    'csv': read_openface,
    'npz': FaceAnnotations.load,
    'jpeg': lambda path: decode_image(Path(path).read_bytes(), 'image')
}


def main() -> None:
    target, file = TARGETS[sys.argv[1]], sys.argv[2]

    def once(data: bytes) -> None:
        with open(file, 'wb') as stream:
            stream.write(data)
        try:
            target(file)
        except (OSError, ValueError):
            pass

    atheris.Setup([sys.argv[0], *sys.argv[3:]], once)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
