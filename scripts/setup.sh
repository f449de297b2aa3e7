#!/usr/bin/env bash
# Installs on Debian 12 what rondo needs. Says nothing and changes nothing when all of it is there.
#
#   scripts/setup.sh [build] [reference] [recipe]
#
# build      compilers and libraries from Debian, LibTorch from its Python wheel (the default)
# reference  what the tests and the checks compare with: PyTorch whole, transformers, Megatron-Core,
#            TensorBoard
# recipe     what reads the model that recipes/ begin with
#
# RONDO_LIBTORCH=DIR   use this LibTorch (with include/ and lib/); the build stage fetches no wheel
set -euo pipefail
cd "$(dirname "$0")/.."

readonly deps=.deps
readonly venv=$deps/python
readonly log=$deps/setup.log

# shellcheck disable=SC2034 # read by name in set_up
build_packages=(
  g++ cmake ninja-build ccache pkg-config
  openmpi-bin libopenmpi-dev libhdf5-openmpi-dev
  libtomlplusplus-dev libcli11-dev libfmt-dev nlohmann-json3-dev
  libsentencepiece-dev libpcre2-dev libonig-dev libutf8proc-dev libgtest-dev libdnnl-dev libpng-dev
  python3-venv gnuplot-nox
)
# shellcheck disable=SC2034 # read by name in set_up
build_wheels=('torch==2.11.0' 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*')
# shellcheck disable=SC2034 # read by name in set_up
reference_packages=(clang clang-format clang-tidy valgrind iproute2 strace slurm-wlm munge
  chromium man-db faketime)
# shellcheck disable=SC2034 # read by name in set_up
reference_wheels=('torch==2.11.0' 'transformers==5.17.0' 'megatron-core==0.16.1'
  tokenizers peft safetensors numpy h5py tensorboard)

# shellcheck disable=SC2034 # read by name in set_up
recipe_packages=()
# shellcheck disable=SC2034 # read by name in set_up
recipe_wheels=('gguf==0.19.0' safetensors numpy)

say() { printf '%s\n' "$*"; }

fail() { # fail STAGE HINT
  say "setup: the $1 stage failed; the end of $log:" >&2
  tail -n 15 "$log" | sed 's/^/  /' >&2
  say "$2" >&2
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo "$@"
  fi
}

# Prints those of the Debian packages named that are not installed.
missing_packages() {
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  local package
  for package in "$@"; do
    grep -qxF "installed $package" <<<"$installed" || say "$package"
  done
}

# Prints those of the wheels named whose metadata is not in the virtual environment.
missing_wheels() {
  local wheel name version
  for wheel in "$@"; do
    name=${wheel%%==*}
    version=${wheel#"$name"}
    name=${name//-/_}
    compgen -G "$venv/lib/python3.*/site-packages/$name-${version#==}*.dist-info/METADATA" >/dev/null ||
      say "$wheel"
  done
}

install_packages() { # install_packages STAGE PACKAGE…
  local stage=$1
  shift
  local -a missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    { say "setup: rondo is set up on Debian 12; elsewhere install: ${missing[*]}" >&2 && exit 1; }
  ((EUID == 0)) || command -v sudo >/dev/null ||
    { say "setup: needs root or sudo to install: ${missing[*]}" >&2 && exit 1; }
  say "setup: $stage: installing ${#missing[@]} Debian packages"
  {
    as_root apt-get -q update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends "${missing[@]}"
  } >>"$log" 2>&1 </dev/null ||
    fail "$stage" 'Hint: can this machine reach its Debian mirror (try: apt-get update)?'
}

install_wheels() { # install_wheels STAGE PIP-OPTION WHEEL…
  local stage=$1
  shift
  say "setup: $stage: installing Python wheels"
  {
    { [[ -x $venv/bin/pip ]] || /usr/bin/python3 -m venv "$venv"; } &&
      "$venv/bin/python" -m pip --disable-pip-version-check -q install --no-compile "$@"
  } >>"$log" 2>&1 </dev/null ||
    fail "$stage" "Hint: is there room on the disk (df -h .), and can pip reach its index? Remove $venv to start afresh."
}

# A stage is done when a stamp names exactly what is wanted, and the things are really there.
set_up() { # set_up STAGE: reads the arrays <stage>_packages and <stage>_wheels
  local stage=$1 start=$SECONDS
  local -n packages=${stage}_packages wheels=${stage}_wheels
  local -a pip_options=()
  [[ $stage == build ]] && pip_options=(--no-deps)
  [[ $stage == build && -n ${RONDO_LIBTORCH:-} ]] && wheels=()

  local wanted stamp=$deps/$stage.stamp
  wanted=$(sha256sum <<<"${packages[*]} | ${wheels[*]}")
  if [[ -f $stamp && $(<"$stamp") == "$wanted" && -z $(missing_packages "${packages[@]}") &&
    -z $(missing_wheels "${wheels[@]}") ]]; then
    return
  fi
  rm -f "$stamp"
  install_packages "$stage" "${packages[@]}"
  if ((${#wheels[@]})); then
    install_wheels "$stage" "${pip_options[@]}" "${wheels[@]}"
  fi
  say "$wanted" >"$stamp"
  say "setup: $stage ready ($((SECONDS - start)) s)"
}

((${#})) || set -- build
for stage in "$@"; do
  [[ $stage =~ ^(build|reference|recipe)$ ]] ||
    { say "setup: there is no stage '$stage': build, reference, recipe" >&2 && exit 2; }
done
mkdir -p "$deps"
exec 9>"$deps/setup.lock"
flock 9 # one set-up at a time
: >"$log"
for stage in "$@"; do
  set_up "$stage"
done
