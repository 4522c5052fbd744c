#!/bin/bash
# template_test ROOT BUILD CMAKE: the vendor's first project, as it is installed and as `plimsoll new-plugin` writes it, builds from a moved
# installation alone with each compiler that is here, passes its test, and fails it where a figure is another. Exit 77 (skipped) where no
# compiler is here.
set -u
root=$1 build=$2 cmake=$3 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CFLAGS CXXFLAGS LDFLAGS PLIMSOLL_PLUGIN_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
export XDG_DATA_HOME=$work/data

has() { command -v "$1" >/dev/null; }
wrong() {
  echo "$1"
  failed=1
}
compilers=()
for compiler in g++ clang++; do has $compiler && compilers+=($compiler); done
((${#compilers[@]})) || { echo "skipped: neither g++ nor clang++ is here"; exit 77; }
"$cmake" --install "$build" --prefix "$work/first" --strip > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mv "$work/first" "$work/moved"
plimsoll=$work/moved/bin/plimsoll

diff -r "$root/sdk/template" "$work/moved/share/plimsoll/template" || failed=1
cp -r "$work/moved/share/plimsoll/template" "$work/copy"
(cd "$work" && "$plimsoll" new-plugin com.acme.first-model --quiet) > "$work/log" 2>&1 || wrong "new-plugin: $(cat "$work/log")"
for project in copy com.acme.first-model; do
  PATH=$(dirname "$cmake"):$PATH "$work/$project/.ci/run" -DCMAKE_PREFIX_PATH="$work/moved" > "$work/log" 2>&1 || wrong "$project: $(cat "$work/log")"
  for compiler in "${compilers[@]}"; do
    [[ -d $work/$project/build-$compiler ]] || wrong "$project is not built with $compiler"
  done
done

# The figures of tests/golden.json can be wrong.
built=$work/com.acme.first-model/build-${compilers[0]}
golden=$work/com.acme.first-model/tests/golden.json
edited() { # TEXT SED-EDIT
  cp "$golden" "$work/golden"
  sed -i "$2" "$golden"
  said=$(ctest --test-dir "$built" --output-on-failure 2>&1) && wrong "passes with $2"
  [[ $said == *"$1"* ]] || wrong "with $2 '$1' was expected: $said"
  cp "$work/golden" "$golden"
}
edited 'was expected' 's/\(parameters": *\)[0-9]*/\17/'
edited '/model/no_such is' 's/parameters/no_such/'
edited 'no figures' '/:/d'

# A manifest that hosts refuse stops the configuration; an edited one is read again.
manifest=$work/com.acme.first-model/plugin.yaml
sed -i 's/^version: .*/version: 7.8.9/' "$manifest"
"$cmake" --build "$built" > "$work/log" 2>&1 || wrong "an edited manifest: $(cat "$work/log")"
"$plimsoll" plugins inspect "$built/lib/plimsoll/plugins/com.acme.first-model" --trust open 2>&1 | grep -q '7\.8\.9' || wrong "another version is not built in"
sed -i 's/aspects/aspekts/' "$manifest"
said=$("$cmake" "$built" 2>&1) && wrong "an unknown key is configured"
[[ $said == *aspekts* ]] || wrong "an unknown key: $said"
exit $failed
