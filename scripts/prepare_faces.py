"""Turns a folder of photographs and their landmarks into training data.

    python scripts/prepare_faces.py img_celeba --landmarks new_train_info_list.pkl --split 1000 -o datasets/celeba
    python scripts/prepare_faces.py helen --landmarks train_info_list_68.pkl --split 50 --size 256 -o datasets/helen
    python scripts/prepare_faces.py my_photos --detector dlib -o datasets/mine --preview

Writes square crops (LMDBs, or folders of PNG), the annotation file of every split, LQ/GT pairs of the test split, and
what became of every photograph (faces.csv, skipped.csv). Can be interrupted at any time: the same command goes on.
Exits with 1 if nothing came out. README.md, section "Data", says what to download.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import dic_plugin  # noqa: E402, F401
from dic_plugin.prepare.cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main(None, __doc__))
