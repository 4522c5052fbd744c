#!/bin/bash
# append_only_test GENERATOR CC OLD NEW HEADER: every line of the layout of that header (abi, pipeline) below the folder OLD, but the minor's
# number, is one of the same below NEW.
set -u
generator=$1 cc=$2 header=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layout() { # FOLDER
  "$generator" "$1/plimsoll/$header.h" "$work/layout.c" && "$cc" -std=c11 -I "$1" -o "$work/layout" "$work/layout.c" && "$work/layout"
}
layout "$3" > "$work/old" && layout "$4" > "$work/new" || exit 1
(($(wc -l < "$work/old") > 50)) || { echo "$(wc -l < "$work/old") lines are no layout"; exit 1; }
gone=$(grep -v '^define PLIMSOLL_ABI_MINOR ' "$work/old" | grep -vxF -f "$work/new")
[[ -z $gone ]] && exit 0
echo "plugins that were built with $3 would misread memory; these are no more as they were:"
echo "$gone"
exit 1
