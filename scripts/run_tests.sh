#!/usr/bin/env bash
# Installs what is needed, checks formatting and types, builds the documentation and runs the tests: bash scripts/run_tests.sh [pytest's options]
# Can be run again and reuses what is there. DIC_VENV: see setup_env.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${DIC_VENV:-.venv}
bash scripts/setup_env.sh tests </dev/null
python=$(cd "$venv/bin" && pwd)/python

# An unmodified checkout of BasicSR's main branch (packaged as basicsr-fixed), which a test runs with the plugin.
checkout=.cache/basicsr/basicsr-fixed-1.4.2
if [ ! -f "$checkout/basicsr/train.py" ]; then
    echo "[tests] fetching BasicSR's main branch"
    rm -rf "$checkout" .cache/basicsr/new
    mkdir -p .cache/basicsr/new
    if "$python" scripts/install_basicsr.py download --no-deps --no-build-isolation --no-binary :all: --dest .cache/basicsr/new basicsr-fixed==1.4.2 </dev/null; then
        tar -xzf .cache/basicsr/new/*.tar.gz -C .cache/basicsr/new
        mv ".cache/basicsr/new/${checkout##*/}" "$checkout"
    else
        echo "[tests] could not fetch it: the test with an unmodified checkout will be skipped" >&2
    fi
    rm -rf .cache/basicsr/new
fi
if [ -f "$checkout/basicsr/train.py" ]; then
    export DIC_BASICSR_CHECKOUT=$PWD/$checkout
fi

code=(dic_plugin scripts tests basicsr docs setup.py)
echo "[tests] formatting"
"$python" -m yapf --diff --recursive "${code[@]}" || { echo "[tests] to format: yapf -i -r ${code[*]}" >&2; exit 1; }
"$python" -m ruff check "${code[@]}" || { echo "[tests] to mend what can be: ruff check --fix ${code[*]}" >&2; exit 1; }
"$python" -m mypy
echo "[tests] documentation"
"$python" -m mkdocs build --strict  # into .cache/site; with --quiet warnings would pass
echo "[tests] pytest"
# files side by side, each with one thread: with more, two processes on two cores hinder each other tenfold
export OMP_NUM_THREADS=1
exec "$python" -m pytest tests -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@" </dev/null
