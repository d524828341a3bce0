#!/usr/bin/env bash
# Sets HackMatrix-JAX up on this machine and, if asked, puts it to work. See usage() below, or: bash colab_setup.sh help
set -euo pipefail +f +o posix
shopt -u failglob nocasematch nullglob
IFS=$' \t\n'

# What a shell, Python or pip is told elsewhere decides nothing here. Where pip gets packages from, and how, stays the user's.
while read -r _ _ inherited; do unset -f "$inherited"; done < <(declare -F)
unset CDPATH BASH_ENV ENV GREP_OPTIONS PYTHONHOME PYTHONINSPECT PYTHONOPTIMIZE PYTHONPATH PYTHONSAFEPATH PYTHONWARNINGS
for inherited in ${!PIP_*}; do
    case "$inherited" in
        PIP_*INDEX* | PIP_*PROXY* | PIP_*CERT | PIP_*CACHE* | PIP_*TIMEOUT | PIP_*RETRIES | PIP_*CONSTRAINT | PIP_CONFIG_FILE) ;;
        PIP_FIND_LINKS | PIP_TRUSTED_HOST | PIP_KEYRING_PROVIDER | PIP_USE_FEATURE | PIP_BREAK_SYSTEM_PACKAGES | PIP_ROOT_*) ;;
        *) unset "$inherited" ;;
    esac
done
[[ "${PYTHON:-}" != [!/]*/* ]] || PYTHON="$PWD/$PYTHON" # it is relative to where the script is called

# To the clone: the script may be called through symbolic links; piped into bash it has no file, and the clone is here.
script="${BASH_SOURCE[0]:-$PWD/colab_setup.sh}"
while [[ -L "$script" ]]; do
    cd -- "$(dirname -- "$script")"
    script="$(readlink -- "${script##*/}")"
done
cd -- "$(dirname -- "$script")"

usage() {
    cat <<'TEXT'
usage: bash colab_setup.sh [train | test | lab | help] [arguments]

  (nothing)   set up: a Python environment in .venv with the right JAX for this machine.
              On Google Colab: no .venv; what is missing is added, JAX stays as it is.
  train       set up, train for about three minutes, evaluate against random play
  test        set up, run all tests and notebooks but the slow ones (-m slow runs these)
  lab         set up, open the notebooks in JupyterLab

Arguments are passed on to `hackmatrix train` (--minutes 60 trains longer, --help lists all), `pytest` or `jupyter lab`.
Two variables override what is detected: PYTHON (an interpreter, 3.11 or later) and HACKMATRIX_PLATFORM (cpu, cuda12,
cuda13, tpu, mac, mps or colab; mps is the GPU of a Mac through jax-mps, used only if you ask for it).
TEXT
}

say() { printf '[hackmatrix] %s\n' "$*"; }
die() { printf '[hackmatrix] %s\n' "$*" >&2; exit 1; }

# ---------------------------------------------------------------- decisions

# detect_platform [ROOT]: prints colab, tpu, cuda13, cuda12, mac or cpu. ROOT is put in front of /content, /dev and /sys.
detect_platform() {
    local root="${1:-}"
    if [[ -d "$root/content" ]] && { [[ -n "${COLAB_RELEASE_TAG:-}" ]] || python3 -c 'import google.colab' 2>/dev/null; }; then
        echo colab
    elif [[ "$(uname -s)" == Darwin ]]; then
        echo mac
    elif has_tpu "$root"; then
        echo tpu
    else
        cuda_release
    fi
}

# has_tpu ROOT: a TPU is a Google device on the PCI bus that the kernel offers for computing.
has_tpu() {
    local node
    for node in "$1"/dev/accel[0-9]* "$1"/dev/vfio/[0-9]*; do
        if [[ -e "$node" ]]; then
            grep -qs 0x1ae0 "$1"/sys/bus/pci/devices/*/vendor
            return
        fi
    done
    return 1
}

# cuda_release: prints cuda13 (driver 580 or later and compute capability 7.5 or later), cuda12 (driver 525 or later) or cpu.
cuda_release() {
    local gpu driver capability
    gpu="$(nvidia-smi --query-gpu=driver_version,compute_cap --format=csv,noheader 2>/dev/null)" || gpu=""
    IFS=', .' read -r driver _ <<<"$gpu"
    capability="$(awk -F', *' 'NR == 1 { split($2, part, "."); print part[1] * 10 + part[2] }' <<<"$gpu")"
    if [[ ! "$driver" =~ ^[0-9]+$ ]]; then
        echo cpu
    elif ((driver >= 580 && capability >= 75)); then
        echo cuda13
    elif ((driver >= 525)); then
        echo cuda12
    else
        say "The NVIDIA driver ($driver) is older than 525, the first that JAX can use: the CPU is used instead." >&2
        echo cpu
    fi
}

# extras_for COMMAND PLATFORM: prints the optional dependencies of pyproject.toml that are needed, comma-separated.
extras_for() {
    local extras=""
    case "$1" in
        test) extras=notebook,test ;;
        setup | lab) extras=notebook ;;
    esac
    case "$2" in
        cuda12 | cuda13 | tpu) extras="${extras:+$extras,}$2" ;;
        colab) extras="${extras#notebook}" extras="${extras#,}" ;; # Colab is the notebook server
    esac
    echo "$extras"
}

# find_python: prints the first interpreter that is new enough and runs.
find_python() {
    local candidate found="" candidates=(python3 python3.13 python3.12 python3.11 python)
    [[ -z "${PYTHON:-}" ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
        found="${found:-$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)}"
    done
    if [[ -n "$found" ]]; then
        die "Python 3.11 or later is needed, but only Python $found was found. Install a newer one or point to it: PYTHON=/path/to/python3 bash colab_setup.sh"
    fi
    die "Python 3.11 or later is needed, but ${PYTHON:-python3} does not run here. Install it or point to it: PYTHON=/path/to/python3 bash colab_setup.sh"
}

# ---------------------------------------------------------------- set-up

interpreter="" # the Python that has the package, once a set-up function has finished

# prove: imports the package and multiplies two matrices on the device.
prove() {
    "$interpreter" - <<'CODE'
import distrax, hackmatrix_core, jax, jax.numpy as jnp

product = jnp.ones((256, 256)) @ jnp.ones((256, 256))
assert float(product[0, 0]) == 256.0, f"a matrix product came out wrong: {product[0, 0]} instead of 256"
print(f"[hackmatrix] JAX {jax.__version__} works on {jax.default_backend()}: {jax.device_count()} x {jax.devices()[0].device_kind}")
CODE
}

install() { "$interpreter" -m pip install --quiet --disable-pip-version-check "$@"; }

# set_up_venv PLATFORM EXTRAS: .venv with the package in it; a stamp for each set of extras records that nothing is left to do.
set_up_venv() {
    local platform="$1" extras="$2" base hash stamp made_here=.venv/made-by-colab_setup.sh
    interpreter="$PWD/.venv/bin/python"
    if ! "$interpreter" -c 'import pip._internal.cli.main, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        if [[ -e .venv || -L .venv ]] && [[ ! -e "$made_here" ]]; then
            die "$PWD/.venv has no Python of 3.11 or later with pip, and this script did not make it. Move it away, and run the same command again."
        fi
        base="$(find_python)"
        say "Creating .venv with $("$base" --version)."
        rm -rf .venv
        mkdir .venv && : >"$made_here"
        "$base" -m venv .venv ||
            die "$base cannot make a virtual environment (see above). On Debian and Ubuntu: apt-get install python3-venv"
    fi
    export PIP_USER=0 # pip.conf may name the user's own packages, which a virtual environment does not have
    hash="$({ cat pyproject.toml hackmatrix_command.py && echo "$PWD $platform"; } | cksum)"
    stamp=".venv/set-up-${extras:-base}"
    if [[ "$(cat "$stamp" 2>/dev/null)" == "$hash" ]]; then
        return
    fi
    say "Installing for $platform (a few minutes the first time)."
    install --editable ".${extras:+[$extras]}" ||
        die "Installing failed (see above). If the network is the cause, the same command picks up where it stopped."
    [[ "$platform" != mps ]] || add_mps
    prove || die "The installation does not work (see above). Remove .venv and run the same command again."
    echo "$hash" >"$stamp"
}

# add_mps: adds jax-mps if it works here; otherwise says that the CPU is used.
add_mps() {
    if ! { install jax-mps && prove; }; then
        say "jax-mps does not work here (see above): the CPU is used instead."
        "$interpreter" -m pip uninstall --quiet --yes jax-mps || true
    fi
}

# missing_requirements EXTRAS: prints what pyproject.toml asks for and this Python lacks, one per line, never jax or jaxlib.
missing_requirements() {
    "$interpreter" - "$1" <<'CODE'
import importlib.metadata, sys, tomllib
from packaging.requirements import Requirement

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
wanted = list(project["dependencies"])
for extra in filter(None, sys.argv[1].split(",")):
    wanted += project["optional-dependencies"][extra]
for line in wanted:
    requirement = Requirement(line)
    if requirement.marker and not requirement.marker.evaluate():
        continue
    try:
        present = importlib.metadata.version(requirement.name) in requirement.specifier
    except importlib.metadata.PackageNotFoundError:
        present = False
    if not present and requirement.name not in ("jax", "jaxlib"):
        print(f"{requirement.name}{requirement.specifier}")
CODE
}

# set_up_colab EXTRAS: adds to the runtime's own Python what is missing; JAX, its plugins and numpy are pinned meanwhile.
set_up_colab() {
    local missing pins line
    interpreter="${PYTHON:-python3}"
    missing="$(missing_requirements "$1")"
    if [[ -n "$missing" ]]; then
        say "Adding to this Colab runtime:" "${missing//$'\n'/, }"
        pins="$(mktemp)"
        "$interpreter" -m pip list --format=freeze --disable-pip-version-check | grep -E '^(jax|libtpu|numpy)' >"$pins"
        # shellcheck disable=SC2086 # one requirement a word
        "$interpreter" -m pip install --progress-bar off --disable-pip-version-check --constraint "$pins" $missing |
            while IFS= read -r line; do # awk and grep would hold lines back
                case "$line" in Collecting* | Installing* | Successfully*) printf '[pip] %s\n' "$line" ;; esac
            done ||
            die "Installing failed (see above). Runtime > Disconnect and delete runtime gives a fresh machine to try again on."
        rm -f "$pins"
    fi
    "$interpreter" -m pip show --quiet hackmatrix-jax 2>/dev/null || install --no-deps --editable . ||
        die "The package itself could not be installed (see above)."
    prove || die "The installation does not work (see above). Runtime > Disconnect and delete runtime gives a fresh machine to try again on."
}

main() {
    local command="${1:-setup}" platform
    [[ $# -eq 0 ]] || shift
    case "$command" in
        setup | train | test | lab) ;;
        help | -h | --help) usage; return ;;
        *) usage >&2; die "'$command' is not a command: expected train, test, lab or help." ;;
    esac
    grep -qs '^name = "hackmatrix-jax"' pyproject.toml ||
        die "$PWD is no clone of HackMatrix-JAX. Get one: git clone https://github.com/hackmatrix-jax/hackmatrix-jax && cd hackmatrix-jax"
    platform="${HACKMATRIX_PLATFORM:-$(detect_platform)}"
    case "$platform" in
        colab) set_up_colab "$(extras_for "$command" colab)" ;;
        cpu | mac | mps | cuda12 | cuda13 | tpu) set_up_venv "$platform" "$(extras_for "$command" "$platform")" ;;
        *) die "HACKMATRIX_PLATFORM is '$platform': expected cpu, cuda12, cuda13, tpu, mac, mps or colab." ;;
    esac
    case "$command" in
        setup)
            if [[ "$platform" == colab ]]; then
                say "Ready: go on with the next cell."
            else
                say "Ready. Next: bash colab_setup.sh train, or bash colab_setup.sh lab"
            fi
            ;;
        train)
            "$interpreter" -c 'import sys; from hackmatrix_command import main; sys.exit(main())' train --minutes 3 "$@"
            ;;
        test) "$interpreter" -m pytest --numprocesses=2 --dist=loadfile -m "not slow" --nbval tests notebooks "$@" ;;
        lab) "$interpreter" -m jupyterlab notebooks "$@" ;;
    esac
}

# Sourced by the tests, which try the decisions one by one.
if [[ "${BASH_SOURCE[0]:-$0}" == "$0" ]]; then
    main "$@"
fi
