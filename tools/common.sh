# shellcheck shell=bash
# Sourced by the scripts of this folder: what they say, the packages they need, how they build.

say() { printf '== %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# number KEY TEXT: the value of KEY in one line of JSON.
number() { grep -oE "\"$1\": *[0-9]+" <<<"$2" | grep -oE '[0-9]+$'; }

# from_here PATH: as the caller of a script means it, whose directory is called_from.
from_here() { if [[ "$1" == /* ]]; then printf '%s' "$1"; else printf '%s' "$called_from/$1"; fi; }

# Suites of gesso_tests that run on the device which --device names.
device_suites="device*,cuda gemm"

# Debian 12's packages without which gesso does not build.
required_packages=(g++ cmake ninja-build libfmt-dev nlohmann-json3-dev libcli11-dev doctest-dev libpng-dev
                   libjpeg62-turbo-dev zlib1g-dev liblzma-dev libxxhash-dev)
# The images of the first recipe; without them gesso draws its own.
data_package=dataset-fashion-mnist

# Prints those of the given packages that are not installed.
missing_of() {
  local package
  for package in "$@"; do
    [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || printf '%s\n' "$package"
  done
}

# How this user becomes root: empty for root itself; fails where there is no way.
root_command() {
  [[ "$(id -u)" == 0 ]] && return 0
  command -v sudo >/dev/null || return 1
  # Without a terminal nobody can type a password.
  sudo -n true 2>/dev/null || [[ -t 0 ]] || return 1
  printf 'sudo'
}

apt() { # ARGUMENTS... of apt-get, as root, asking nothing
  local root
  root="$(root_command)" || return 1
  ${root} env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}

install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    say "No Debian packages here; going on with what the system has. Needed: ${required_packages[*]}"
    return
  fi
  local missing
  mapfile -t missing < <(missing_of "${required_packages[@]}" "$data_package")
  if ((${#missing[@]} == 0)); then
    say "All packages are installed"
    return
  fi
  say "Installing from Debian: ${missing[*]}"
  mapfile -t missing < <(missing_of "${required_packages[@]}")
  local line="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  if ! root_command >/dev/null; then
    ((${#missing[@]} == 0)) || die "packages are missing and this user cannot install them; run as root: $line"
    say "$data_package is missing and this user cannot install it; going on without it"
    return
  fi
  apt update || say "The package lists could not be renewed; trying with the old ones"
  if ((${#missing[@]})) && ! apt install --no-install-recommends "${missing[@]}"; then
    die "could not install what is missing; run as root: $line"
  fi
  if [[ -n "$(missing_of "$data_package")" ]] && ! apt install --no-install-recommends "$data_package"; then
    say "$data_package could not be installed; going on without it"
  fi
}

# install_if_possible PACKAGE...: those that are missing; going on without is the caller's to decide.
install_if_possible() {
  command -v dpkg-query >/dev/null && root_command >/dev/null || return 0
  local missing
  mapfile -t missing < <(missing_of "$@")
  ((${#missing[@]})) || return 0
  say "Installing from Debian: ${missing[*]}"
  apt install --no-install-recommends "${missing[@]}" || { apt update && apt install --no-install-recommends "${missing[@]}"; } ||
    say "could not be installed: ${missing[*]}"
}

# build PRESET TARGET...: configures and builds into build/PRESET.
build() {
  local preset="$1" launcher=()
  shift
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  say "Building preset $preset into build/$preset"
  cmake --preset "$preset" "${launcher[@]}" && cmake --build --preset "$preset" --parallel "$(nproc)" --target "$@"
}
