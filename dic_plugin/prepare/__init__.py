"""From photographs to training data: landmarks, square crops, splits, LMDBs, annotation files.

    formats/       landmarks from the files of datasets and tools
    process.py     one photograph: from the file to the encoded crop
    prepare.py     all photographs: splits, workers, continuation after an interruption
    finish.py      the set that is built from the results
    check.py       the examination of a set

The commands are ``dic-prepare`` and ``dic-check``.
"""
