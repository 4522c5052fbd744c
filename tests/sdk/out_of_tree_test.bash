#!/bin/bash
# out_of_tree_test ROOT BUILD CMAKE: what the SDK's guide promises a vendor. Copies of the examples, in a project of their own, build
# with each compiler that is here, warnings as errors; what they plan is what the tree's own build of them plans, byte for byte. So it is
# with the guide's line without CMake. Headers compile under every standard that they name, and say so where they cannot. Exit 77
# (skipped) where the examples are not built, or where there is no compiler.
set -u
root=$1 build=$2 cmake=$3 failed=0
here=$(dirname "${BASH_SOURCE[0]}")
program=$build/bin/plimsoll
plugins=(com.acme.alias com.acme.vlm com.acme.latent com.acme.hybrid)
includes=(-I "$root/core/abi/include" -I "$root/sdk/include")
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Werror)
unset CFLAGS CXXFLAGS LDFLAGS PLIMSOLL_PLUGIN_PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME=$work/data

has() { command -v "$1" >/dev/null; }
wrong() {
  echo "$1"
  failed=1
}
[[ -f $build/lib/plimsoll/examples/com.acme.alias/plugin.yaml ]] || { echo "skipped: the examples are not built"; exit 77; }
has g++ || has clang++ || { echo "skipped: neither g++ nor clang++ is here"; exit 77; }

plan() { # FOLDER PLUGIN ENGINE DEVICES
  "$program" plan "$here/out_of_tree/$2.json" --plugin-path "$1/$2" --trust open --engine "$3" --devices "$4" --format json
}
# The plans of a plugin in this folder are those of the tree's.
compare() { # FOLDER PLUGIN
  local engine devices
  while read -r engine devices; do
    plan "$build/lib/plimsoll/examples" "$2" "$engine" "$devices" > "$work/expected.json" || wrong "$2 of the tree does not plan for $engine"
    plan "$1" "$2" "$engine" "$devices" > "$work/planned.json" || wrong "$1/$2 does not plan for $engine"
    diff "$work/expected.json" "$work/planned.json" || wrong "$1/$2 plans something else for $engine"
  done <<< $'max 2x80GiB\nvllm 1x80GiB'
}

# ---- a project of its own ----------------------------------------------------------------------------------

mkdir "$work/vendor"
cp -r "$here/out_of_tree/CMakeLists.txt" "$root"/sdk/examples/{alias,vlm,latent_c,hybrid} "$work/vendor"
while read -r cc cxx c_standard cxx_standard; do
  has "$cc" && has "$cxx" || continue
  if "$cmake" -S "$work/vendor" -B "$work/$cc" -D CMAKE_C_COMPILER="$cc" -D CMAKE_CXX_COMPILER="$cxx" -D CMAKE_C_STANDARD="$c_standard" \
    -D CMAKE_CXX_STANDARD="$cxx_standard" -D ACME_PLIMSOLL_SDK="$root/sdk" -D PLIMSOLL_PROGRAM="$program" > "$work/log" 2>&1 &&
    "$cmake" --build "$work/$cc" --parallel 2 >> "$work/log" 2>&1; then
    for plugin in "${plugins[@]}"; do compare "$work/$cc/lib/plimsoll/examples" "$plugin"; done
  else
    wrong "no build with $cxx of C++$cxx_standard and C$c_standard: $(cat "$work/log")"
  fi
done <<< $'gcc g++ 11 17\nclang clang++ 17 20'

# A manifest that no host would take stops the build.
for cc in gcc clang; do
  [[ -d $work/$cc ]] || continue
  sed -i 's/^vendor/vendro/' "$work/vendor/vlm/plugin.yaml"
  said=$("$cmake" --build "$work/$cc" 2>&1) && wrong "a misspelt manifest is built"
  [[ $said == *"did you mean vendor?"* ]] || wrong "a misspelt manifest: $said"
  break
done
# A library without sources is asked for.
echo "include($root/sdk/cmake/PlimsollAddPlugin.cmake)
plimsoll_add_plugin(NAME com.acme.latent MANIFEST $root/sdk/examples/latent_c/plugin.yaml)" > "$work/sources.cmake"
said=$("$cmake" -P "$work/sources.cmake" 2>&1) && wrong "a library without sources is built"
[[ $said == *"SOURCES is missing"* ]] || wrong "a library without sources: $said"

# ---- without CMake -----------------------------------------------------------------------------------------

# The guide's own lines, with our folders.
lines=$(awk '/^Without CMake:/ { seen = 1 } /^```/ && seen { if (open) exit; open = 1; next } open' "$root/sdk/docs/first_plugin.md" |
  sed "s|/opt/plimsoll|$root|g")
[[ $lines == *"plugins identity"*"g++ -std=c++17"* ]] || wrong "the guide has no lines without CMake: $lines"
# In C the same, without the SDK.
in_c=$(sed 's/com\.acme\.vlm/com.acme.latent/g; s/g++ -std=c++17/gcc -std=c11/; s| -I[^ ]*/sdk/include||; s/acme\.cpp/acme.c/' <<< "$lines")
plain() { # PLUGIN SOURCE NAME LINES
  mkdir "$work/$1"
  cp "$root/sdk/examples/$2" "$work/$1/$3"
  cp "$root/sdk/examples/${2%/*}/plugin.yaml" "$work/$1"
  if said=$(cd "$work/$1" && PATH=$build/bin:$PATH bash -e <<< "$4" 2>&1); then
    compare "$work/$1" "$1"
  else
    wrong "the guide's lines fail: $said"
  fi
}
has g++ && plain com.acme.vlm vlm/acme_vl.cpp acme.cpp "$lines"
has gcc && plain com.acme.latent latent_c/acme_latent.c acme.c "$in_c"

# ---- compilers and standards -------------------------------------------------------------------------------

takes() { # SOURCE COMPILER OPTION...
  local source=$1
  shift
  "$@" -fsyntax-only "${includes[@]}" "${warnings[@]}" - <<< "$source" || wrong "not with $*: $source"
}
refuses() { # TEXT SOURCE COMPILER OPTION...
  local text=$1 source=$2
  shift 2
  said=$("$@" -fsyntax-only "${includes[@]}" - <<< "$source" 2>&1) && wrong "compiles with $*: $source"
  # It is the first thing that is said.
  [[ $(grep -m 1 'error' <<< "$said") == *"$text"* ]] || wrong "expected '$text' with $*: $said"
}
abi='#include <plimsoll/abi.h>' sdk='#include <plimsoll/plugin_util.hpp>'
for cc in gcc clang; do
  has "$cc" || continue
  for standard in c11 c17; do takes "$abi"$'\nextern int some;' "$cc" -x c -std="$standard"; done
  refuses 'plimsoll/abi.h needs C11 or newer (-std=c11), or C++17' "$abi" "$cc" -x c -std=c99
done
for cxx in g++ clang++; do
  has "$cxx" || continue
  for standard in c++17 c++20; do takes "$abi"$'\n'"$sdk" "$cxx" -x c++ -std="$standard" -Wold-style-cast; done
  refuses 'plimsoll/abi.h needs C++17 or newer (-std=c++17), or C11' "$abi" "$cxx" -x c++ -std=c++14
  refuses 'plimsoll/plugin.hpp needs C++17 or newer: -std=c++17' "$sdk" "$cxx" -x c++ -std=c++14
  refuses 'plimsoll/plugin.hpp reports errors by exceptions, which stop at the boundary; leave -fno-exceptions out' "$sdk" \
    "$cxx" -x c++ -std=c++17 -fno-exceptions
  refuses 'plimsoll_identity.h is not there: make it with `plimsoll plugins identity FOLDER`' "$sdk"$'\nPLIMSOLL_PLUGIN(int)' \
    "$cxx" -x c++ -std=c++17
done
exit $failed
