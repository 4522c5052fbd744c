# What tools/quickstart, tools/test, tools/package and .ci/run share: packages, configure, build. Sourced, never run by itself.
# Uses Debian's own packages and nothing else; asks no questions. PLIMSOLL_JOBS limits parallel compile jobs.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_packages=(g++ cmake ninja-build libboost-dev libfmt-dev libyaml-cpp-dev nlohmann-json3-dev libsimdjson-dev
  libexpected-dev libcli11-dev libcurl4-openssl-dev libcpp-httplib-dev libopenblas-dev libxxhash-dev libpcre2-dev libutf8proc-dev)
test_packages=(libgtest-dev libgmock-dev libbenchmark-dev clang clang-format python3 pkg-config man-db groff
  abigail-tools mypy libopenmpi-dev openmpi-bin)

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 2; }

# Installs those of the named packages that are missing.
install_packages() {
  local package missing=()
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "no apt here: these must be installed: $*"
    return
  fi
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null) == *installed* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "not root and no sudo; run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null
}

# configure PRESET FOLDER [CMAKE ARGUMENT...]: FOLDER is the preset's build folder. A folder left by a checkout
# that has moved since is configured afresh.
configure() {
  local preset=$1 folder=$root/$2 fresh=()
  shift 2
  if [[ -f $folder/CMakeCache.txt ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$folder/CMakeCache.txt"; then
    fresh=(--fresh)
  fi
  say "configuring $preset"
  (cd "$root" && cmake --preset "$preset" "${fresh[@]}" "$@" </dev/null)
}

# build PRESET [CMAKE ARGUMENT...]
build() {
  local preset=$1 jobs=()
  shift
  [[ -n ${PLIMSOLL_JOBS:-} ]] && jobs=(--parallel "$PLIMSOLL_JOBS")
  say "building $preset"
  (cd "$root" && cmake --build --preset "$preset" "${jobs[@]}" "$@" </dev/null)
}
