"""Models compared on the same images: trained, tested and measured in one way, whatever they are.

    plan.py           the YAML file, read and checked
    options.py        from the plan to BasicSR's option files; budgets
    workspace.py      what is where in the results folder, and what is done already
    machine.py        child processes: one per GPU or several on the CPU, with logs and reasons of failures
    test_set.py       the test images and landmarks as files, the same for all
    training_log.py   time and learning curve out of BasicSR's log
    cost.py           parameters, operations, speed and memory of a network
    measure.py        quality, landmark errors, landmarks that DIC itself finds
    stages.py         the stages of one run: training, testing, cost, measuring
    run.py            all runs, side by side
    columns.py        what the tables show
    table.py          Markdown, CSV and JSON
    plots.py          quality against cost, learning curves, cumulative landmark error
    gallery.py        the same faces across models
    page.py           the HTML page, with page_parts.py
    report.py         writes all of these
"""
