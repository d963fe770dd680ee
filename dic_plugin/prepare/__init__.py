"""From downloaded photographs to training data: landmarks, square crops, splits, LMDBs, annotation files.

    formats/       landmarks from the files that datasets and tools come with
    detectors/     landmarks found in the photographs themselves
    crop.py        the square around a face
    process.py     one photograph: from the file to the encoded crop
    run.py         all of them: splits, workers, restart, the finished set

``dic-prepare`` runs it; ``dic-check`` examines the result.
"""
