#!/usr/bin/env bash
# Makes VENV hold exactly what LOCK names, and Baud itself from this folder: install_lock.sh PYTHON VENV LOCK
#
# Nothing is resolved and nothing is built: each distribution is a wheel of the locked version with a locked hash, so
# what an index offers today decides nothing. uv does it (pinned in bootstrap.lock); where no wheel of uv fits, or with
# BAUD_INSTALLER=pip, pip does the same more slowly.
set -euo pipefail
python=$1 venv=$2 lock=$3
cd "$(dirname "$0")/.."

pip_options=(--quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all:)

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "Baud needs Python 3.11 or newer; set PYTHON=python3.x" >&2; exit 1; }

uv=${UV:-$venv/uv/bin/uv}
if [ "${BAUD_INSTALLER:-uv}" = uv ] && ! "$uv" --version >/dev/null 2>&1; then
    "$python" -m pip install "${pip_options[@]}" --target "$venv/uv" --upgrade --requirement bootstrap.lock ||
        { echo "there is no uv for this machine; pip installs instead" >&2; BAUD_INSTALLER=pip; }
fi

if [ "${BAUD_INSTALLER:-uv}" = uv ]; then
    # uv does not read pip's configuration; a mirror that is named there is meant for it too.
    index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}}
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
    [ -x "$venv/bin/python" ] || "$uv" venv --quiet --no-project --allow-existing --python "$(command -v "$python")" "$venv"
    "$uv" pip sync --quiet --python "$venv" --require-hashes --only-binary :all: "$lock"
    "$uv" pip install --quiet --python "$venv" --offline --no-deps --no-build-isolation --editable .
else
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install "${pip_options[@]}" --requirement "$lock"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi

# What a start imports is compiled now, since an environment that writes no bytecode would compile it at each start.
for module in client.cli gateway.core.serve modem.core.serve; do
    PYTHONDONTWRITEBYTECODE='' "$venv/bin/python" -c "import $module" &
done
wait
