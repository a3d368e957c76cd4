#!/usr/bin/env bash
# Makes VENV hold exactly what LOCK names, and Baud itself from this folder: install_lock.sh PYTHON VENV LOCK
#
# Nothing is resolved and nothing is built: each distribution is a wheel of the locked version with a locked hash, so
# what an index offers today decides nothing. uv does it (pinned in bootstrap.lock); where no wheel of uv fits, or with
# BAUD_INSTALLER=pip, pip does the same more slowly. Beside Python, pip and bash it needs nothing but coreutils.
set -euo pipefail
python=$1 venv=$2 lock=$3
cd "$(dirname "$0")/.."

fail() { echo "$*" >&2; exit 1; }

# Errors are shown and warnings are not: who runs pip and which of its folders are empty is nobody's concern here.
quiet=(--quiet --quiet)
exact=("${quiet[@]}" --no-deps --require-hashes --only-binary :all:)
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_REQUIRE_VIRTUALENV=0 PIP_USER=0
# The locks have decided already; a person's own limits to versions and dates could only make them impossible.
unset UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE_NEWER UV_EXCLUDE_NEWER_PACKAGE

make_room() {
    # An installation that was cut off can leave half a package that looks like a whole one.
    [ ! -e "$venv/.installing" ] || rm -rf "$venv"
    mkdir -p "$venv"
    rm -f "$venv/.ready" "$venv/.ready-dev"
    : >"$venv/.installing"
}

get_uv() {
    local line pinned=none
    while read -r line; do [[ $line != uv==* ]] || { pinned=${line#uv==}; pinned=${pinned%% *}; }; done <bootstrap.lock
    [[ "$("$uv" --version 2>/dev/null)" == "uv $pinned"* ]] ||
        "$python" -m pip install "${exact[@]}" --target "$venv/uv" --upgrade --requirement bootstrap.lock
}

pip_setting() { # prints what pip would take for NAME: from the environment, else from the nearest of its files
    local scope line
    for scope in :env: install global; do
        while IFS= read -r line; do
            [[ $line != "$scope.$1="* ]] || { line=${line#*=?} && printf %s "${line%?}" && return; }
        done <<<"$pip_settings"
    done
}

lend_pip_settings() { # uv reads nothing of pip's; a mirror that is named there is meant for it too
    local pip_settings index certificates hosts
    pip_settings=$("$python" -m pip config list 2>/dev/null || true)
    index=$(pip_setting index-url) certificates=$(pip_setting cert) hosts=$(pip_setting trusted-host)
    [ -n "${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-}}" ] || [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
    [ -n "${SSL_CERT_FILE:-}" ] || [ -z "$certificates" ] || export SSL_CERT_FILE=$certificates
    [ -n "${UV_INSECURE_HOST:-}" ] || [ -z "$hosts" ] || export UV_INSECURE_HOST=${hosts//\\n/ }
}

install_by_uv() {
    lend_pip_settings
    "$venv/bin/python" -c '' 2>/dev/null ||
        "$uv" venv --quiet --no-project --allow-existing --python "$(command -v "$python")" "$venv"
    "$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes --only-binary :all: "$lock" ||
        fail "uv could not install $lock; with BAUD_INSTALLER=pip, pip does it by all of its own settings"
    "$uv" pip install --quiet --python "$venv/bin/python" --offline --no-deps --no-build-isolation --editable .
}

install_by_pip() {
    local pip=("$python" -m pip --python "$venv/bin/python") extra
    "$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --without-pip "$venv" ||
        fail "$python cannot make virtual environments: install its module venv (Debian: apt-get install python3-venv)"
    "${pip[@]}" install "${exact[@]}" --requirement "$lock"
    "${pip[@]}" install "${quiet[@]}" --no-deps --no-build-isolation --editable .
    extra=$("$venv/bin/python" scripts/not_in_lock.py "$lock")
    # Words on purpose: a name of a distribution has no space in it.
    # shellcheck disable=SC2086
    [ -z "$extra" ] || "${pip[@]}" uninstall "${quiet[@]}" --yes $extra
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Baud needs Python 3.11 or newer: set PYTHON=python3.x"
"$python" -c 'import pip' 2>/dev/null || fail "$python has no pip (Debian: apt-get install python3-pip)"
make_room
uv=$venv/uv/bin/uv
installer=${BAUD_INSTALLER:-uv}
if [ "$installer" = uv ] && ! get_uv; then
    echo "uv could not be installed: pip installs instead, which takes longer" >&2
    installer=pip
fi
case $installer in
    uv) install_by_uv ;;
    pip) install_by_pip ;;
    *) fail "BAUD_INSTALLER is '$installer': allowed are uv and pip" ;;
esac

# What a start imports is compiled now, since an environment that writes no bytecode would compile it at each start.
for module in baud.cli gateway.core.serve modem.core.serve; do
    [ ! -e "${module//.//}.py" ] || PYTHONDONTWRITEBYTECODE='' "$venv/bin/python" -c "import $module" &
done
wait
rm "$venv/.installing"
