#!/bin/bash
# debian_test ROOT BUILD: what tools/package makes of this build: three packages with what they should have, a fourth where MPI was found, and nothing that lintian calls
# an error, where it is here. Exit 77 (skipped) where the tools that pack are not here.
set -u
root=$1 build=$2 failed=0
for tool in cpack dpkg-deb dpkg-shlibdeps gzip; do
  command -v $tool >/dev/null || { echo "skipped: $tool is not here"; exit 77; }
done
wrong() {
  echo "$1"
  failed=1
}
"$root/tools/package" --of "$build" > "$build/package.log" 2>&1 || { cat "$build/package.log"; exit 1; }
has() { # PACKAGE FILE...
  local package=$1 file list
  shift
  list=$(dpkg-deb -c "$build"/packages/${package}_*.deb)
  for file in "$@"; do grep -qE " \./usr/$file( ->|$)" <<< "$list" || wrong "$package lacks $file"; done
}
says() { # PACKAGE FIELD TEXT
  local said
  said=$(dpkg-deb -f "$build"/packages/$1_*.deb "$2")
  [[ $said == *"$3"* ]] || wrong "$1 has $2 '$said', not '$3'"
}
version=$("$build/bin/plimsoll" --version | cut -d' ' -f2)
has plimsoll bin/plimsoll bin/plimsoll-watch lib/libplimsoll.so.1 "lib/libplimsoll.so.$version" lib/plimsoll/plugins/dense/plugin.yaml share/plimsoll/gguf.json \
  share/man/man1/plimsoll-plan.1.gz share/doc/plimsoll/copyright share/doc/plimsoll/changelog.gz
has libplimsoll-dev lib/libplimsoll.so include/plimsoll/host.hpp include/plimsoll/abi.h lib/cmake/Plimsoll/PlimsollConfig.cmake \
  lib/pkgconfig/plimsoll.pc share/plimsoll/template/plugin.yaml share/doc/plimsoll/sdk/first_plugin.md share/doc/libplimsoll-dev/copyright
has python3-plimsoll lib/python3/dist-packages/plimsoll/{__init__.py,context.py,py.typed}
packages=(plimsoll libplimsoll-dev python3-plimsoll)
if [[ -e $build/lib/libplimsoll_mpi.so ]]; then # MPI is one package's need
  packages+=(plimsoll-mpi)
  has plimsoll-mpi lib/libplimsoll_mpi.so share/doc/plimsoll-mpi/{copyright,changelog.gz}
  says plimsoll-mpi Depends "plimsoll (= $version)"
  says plimsoll-mpi Depends libopenmpi
elif compgen -G "$build/packages/plimsoll-mpi_*" >/dev/null; then
  wrong "plimsoll-mpi was packed without its library"
fi
for package in "${packages[@]}"; do says $package Version "$version"; done
for package in plimsoll libplimsoll-dev python3-plimsoll; do
  said=$(dpkg-deb -f "$build"/packages/${package}_*.deb Depends)
  [[ $said != *mpi* ]] || wrong "$package needs MPI: $said"
done
says plimsoll Depends libc6
says plimsoll Recommends libcurl4
says libplimsoll-dev Depends "plimsoll (= $version)"
says python3-plimsoll Architecture all
owners=$(for deb in "$build"/packages/*.deb; do dpkg-deb -c "$deb"; done | awk '$2 != "root/root"')
[[ -z $owners ]] || wrong "not root's: $owners"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
dpkg-deb -x "$build"/packages/plimsoll_*.deb "$scratch"
said=$(objdump -p "$scratch"/usr/bin/* "$scratch"/usr/lib/lib*.so.1 2>/dev/null | grep -E 'R(UN)?PATH')
[[ -z $said ]] || wrong "a run path is left: $said"
if command -v lintian >/dev/null; then
  said=$(lintian --tag-display-limit 0 --fail-on error "$build"/packages/*.deb 2>&1) || wrong "$said"
else
  echo "not tried: lintian is not here"
fi
exit $failed
