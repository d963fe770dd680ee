"""Comparison of models that are trained, tested and measured in the same way, on the same images.

    plan.py           the YAML file, checked; options.py: BasicSR's option files made from it
    workspace.py      the results folder and the records of finished stages
    machine.py        child processes: one per GPU, or several on the CPU
    test_set.py       the test images as files
    stages.py         training, testing, cost (cost.py) and measures (measure.py) of one run
    training_log.py   times and learning curves from BasicSR's log
    outcome.py        all runs, side by side
    tables.py         columns, tables, CSV and JSON; plots.py: figures
    report.py         writes everything; Markdown and HTML by templates/
"""
