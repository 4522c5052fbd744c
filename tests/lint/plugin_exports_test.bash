#!/bin/bash
# plugin_exports_test FOLDER NM: each plugin below FOLDER has a manifest beside its library, and the library defines
# one dynamic symbol, the plugin's table. Exit 77 (skipped) where no plugin is built.
set -u
folder=$1 nm=$2 failed=0 seen=0
for library in "$folder"/*/*.so; do
  [[ -e $library ]] || continue
  seen=$((seen + 1))
  exported=$("$nm" -D --defined-only "$library" | awk '{print $NF}' | sort | tr '\n' ' ')
  if [[ $exported != "plimsoll_plugin_v1 " ]]; then
    echo "$library exports: $exported- expected plimsoll_plugin_v1 alone; build it with plimsoll_add_plugin"
    failed=1
  fi
  [[ -f ${library%/*}/plugin.yaml ]] || { echo "$library has no plugin.yaml beside it"; failed=1; }
done
if ((seen == 0)); then
  echo "skipped: no plugin is built below $folder"
  exit 77
fi
echo "$seen plugins"
exit $failed
