#!/usr/bin/env bash
# Makes or completes the virtual environment that quickstart.sh and run_tests.sh use.
#   bash scripts/setup_env.sh [tests]
# The environment is .venv in the repository's root, or the folder that DIC_VENV names. DIC_PYTHON names the Python to
# make it with. What is installed already is kept; a run that was cut short is taken up again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${DIC_VENV:-.venv}
python=$venv/bin/python
extra=${1:-}

say() { echo "[setup] $*"; }
die() { echo "[setup] error: $*" >&2; exit 1; }
supported() { "$1" scripts/install_basicsr.py --supported; }
pip_install() { "$python" -m pip install --quiet --disable-pip-version-check --no-input "$@"; }

find_python() {
    if [ -n "${DIC_PYTHON:-}" ]; then
        supported "$DIC_PYTHON" || die "DIC_PYTHON is $DIC_PYTHON; expected a supported Python."
        echo "$DIC_PYTHON"
        return
    fi
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        if supported "$name" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    supported python3 || die "no supported Python found. Install one or name it: DIC_PYTHON=/path/to/python3.11"
}

# --- the environment itself
if ! "$python" -m pip --version >/dev/null 2>&1; then
    if [ -d "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
        die "$venv exists and is no virtual environment; name another with DIC_VENV."
    fi
    base=$(find_python)
    say "making $venv with $("$base" --version)"
    "$base" -m venv --clear "$venv" || die "could not make $venv (on Debian: apt install python3-venv)."
fi
supported "$python" || die "$venv holds another Python; remove it or set DIC_VENV."

# --- what it holds: done once for every change of the requirements
wanted=$(cat setup.py pyproject.toml scripts/setup_env.sh scripts/install_basicsr.py dic_plugin/ops/src/* | cksum | cut -d' ' -f1)-$("$python" -c 'import platform; print(platform.python_version())')
for stamp in "$venv/.dic_plugin$extra" "$venv/.dic_plugintests"; do
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted:$PWD" ]; then
        say "$venv is ready: source $venv/bin/activate"
        exit 0
    fi
done

say "installing torch and torchvision (the long part, some GB)"
pip_install torch torchvision
say "installing BasicSR"
"$python" scripts/install_basicsr.py </dev/null
say "installing dic_plugin${extra:+ and what its tests need}"
pip_install --no-build-isolation -e ".[${extra:-faces}]"  # faces: to restore photographs; tests has them, too

# opencv-python needs the system's libGL, which servers and containers often lack; the headless build does not.
if ! reason=$("$python" -c 'import cv2' 2>&1) && [[ $reason == *.so* ]]; then
    say "opencv-python cannot be loaded (${reason##*ImportError: }); taking opencv-python-headless"
    "$python" -m pip uninstall --quiet --yes opencv-python opencv-python-headless 2>/dev/null
    pip_install opencv-python-headless
fi
"$python" -c 'import dic_plugin' || die "what was installed cannot be imported; remove $venv and run this again."
echo "$wanted:$PWD" >"$venv/.dic_plugin$extra"
say "$venv is ready"
