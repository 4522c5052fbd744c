#!/bin/bash
# install_test ROOT BUILD CMAKE: what `cmake --install` gives. It is moved after it is installed, and from there its programs plan what the
# build's plan, a stranger's project is built with each compiler that is here, by find_package and by pkg-config, and no file speaks of the
# build. Exit 77 (skipped) where no compiler is here.
set -u
root=$1 build=$2 cmake=$3 failed=0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CFLAGS CXXFLAGS LDFLAGS PLIMSOLL_PLUGIN_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
export XDG_DATA_HOME=$work/data

has() { command -v "$1" >/dev/null; }
wrong() {
  echo "$1"
  failed=1
}
has g++ || has clang++ || { echo "skipped: neither g++ nor clang++ is here"; exit 77; }

"$cmake" --install "$build" --prefix "$work/first" --strip > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mkdir "$work/moved to"
mv "$work/first" "$work/moved to/here"
prefix="$work/moved to/here"
libdir=$(dirname "$(find "$prefix" -name 'libplimsoll.so.?' -print -quit)")
runtime=
[[ -e $libdir/libplimsoll_runtime.so ]] && runtime=1

# ---- what is there -----------------------------------------------------------------------------------------

for file in bin/plimsoll share/plimsoll/gguf.json share/plimsoll/models include/plimsoll/{host.h,host.hpp,abi.h,plugin.hpp} share/man/man1/plimsoll.1 \
  share/man/man1/plimsoll-plan.1 share/bash-completion/completions/plimsoll share/zsh/site-functions/_plimsoll \
  share/fish/vendor_completions.d/plimsoll.fish lib/plimsoll/plugins/{dense,mla,moe,hybrid,vlm,draft,encoder,pooling}/plugin.yaml; do
  [[ -e $prefix/$file ]] || wrong "$file is not installed"
done
for path in "$work/first" "$root" "$build"; do
  said=$(grep -rlF -- "$path" "$prefix") && wrong "these speak of $path: $said"
done
for family in "$root"/plugins/*/; do
  for file in plugin.yaml models.json gguf.json; do
    [[ ! -e $family/$file ]] || cmp "$family/$file" "$prefix/lib/plimsoll/plugins/$(basename "$family")/$file" || failed=1
  done
done

# ---- where it stands it works ------------------------------------------------------------------------------

for model in Qwen/Qwen3-8B deepseek-ai/DeepSeek-V3; do
  "$build/bin/plimsoll" plan $model --devices 8xH200 --format json > "$work/expected.json"
  "$prefix/bin/plimsoll" plan $model --devices 8xH200 --format json > "$work/planned.json" || wrong "it does not plan $model"
  cmp "$work/expected.json" "$work/planned.json" || failed=1
done
"$prefix/bin/plimsoll" plugins --format json | grep -oF "\"$work" > /dev/null || wrong "it does not use the plugins of its own prefix"
if [[ $runtime ]]; then
  said=$("$prefix/bin/plimsoll" run "$root/tests/data/tiny/kjv" --prompt "And the LORD said unto " --max-new-tokens 20 2>/dev/null)
  [[ $said == "Moses, The LORD"* ]] || wrong "it does not run: $said"
fi
if has python3; then
  modules=$(dirname "$(dirname "$(find "$prefix" -path '*/plimsoll/py.typed')")")
  [[ -z $(find "$modules" -name '*.pyc') ]] || wrong "compiled modules of the source tree are installed"
  said=$(cd / && PYTHONPATH=$modules PYTHONDONTWRITEBYTECODE=1 python3 -c '
import plimsoll
print(plimsoll.plan("Qwen/Qwen3-8B", devices="1xH100").verdict)' 2>&1)
  [[ $said == fits ]] || wrong "Python does not find it: $said"
fi

# ---- a stranger's project ----------------------------------------------------------------------------------

# All headers of hosts, each other's names and all.
headers() {
  local header
  for header in "$prefix"/include/plimsoll/*.hpp; do
    [[ $(basename "$header") == plugin* ]] || echo "#include <plimsoll/$(basename "$header")>"
  done
}
expected=$("$prefix/bin/plimsoll" plan Qwen/Qwen3-8B --devices 1xH100 --format json | grep -o '"kv_cache_bytes": *[0-9]*' | head -1 | grep -o '[0-9]*')
plans() { # PROGRAM...
  local said
  said=$("$@" 2>&1) || { wrong "$1 ended with $?: $said"; return; }
  [[ $said == *"$expected"* ]] || wrong "$1 plans another KV cache than $expected: ${said:0:300}"
}
cat > "$work/thin.json" <<'JSON'
{"architectures": ["ThinForCausalLM"], "model_type": "thin", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 512}
JSON
cp -r "$here/consumer" "$work/consumer"
headers > "$work/consumer/all_headers.hpp"
configure() { # FOLDER ARGUMENT...
  "$cmake" -S "$work/consumer" -B "$work/$1" -D CMAKE_PREFIX_PATH="$prefix" "${@:2}" > "$work/log" 2>&1
}
while read -r cc cxx standard; do
  has $cc && has $cxx || continue
  if configure $cc -D CMAKE_C_COMPILER=$cc -D CMAKE_CXX_COMPILER=$cxx -D CONSUMER_C_STANDARD=$standard &&
    "$cmake" --build "$work/$cc" --parallel 2 >> "$work/log" 2>&1 &&
    "$cmake" --install "$work/$cc" --prefix "$work/$cc/installed" >> "$work/log" 2>&1; then
    plans "$work/$cc/host_cpp"
    plans "$work/$cc/host_c"
    [[ -z $runtime ]] || "$work/$cc/runtime_c" > /dev/null || wrong "a host of the runtime library does not run"
    "$prefix/bin/plimsoll" plan "$work/thin.json" --devices 80GiB --trust open --plugin-path "$work/$cc/installed/lib/plimsoll/plugins" > "$work/log" 2>&1 ||
      wrong "the consumer's plugin does not plan: $(cat "$work/log")"
  else
    wrong "no build with $cxx: $(cat "$work/log")"
  fi
done <<< $'gcc g++ 11\nclang clang++ 17'

# ---- what is refused at configuration ----------------------------------------------------------------------

refused() { # TEXT SED-EDIT FILE
  local text=$1
  rm -rf "$work/refused"
  cp "$here/consumer/"{CMakeLists.txt,plugin.yaml} "$work/consumer"
  sed -i "$2" "$work/consumer/$3"
  configure refused && { wrong "configures with $2"; return; }
  tr -s ' \n' '  ' < "$work/log" | grep -qF -- "$text" || wrong "with $2 '$text' was expected: $(cat "$work/log")"
}
refused 'there is no component sdkk; sdk, host and runtime are' 's/COMPONENTS sdk /COMPONENTS sdkk /' CMakeLists.txt
refused "version: $(sed -n 's/^Version: //p' "$libdir/pkgconfig/plimsoll.pc")" 's/Plimsoll 1 /Plimsoll 99 /' CMakeLists.txt
refused 'did you mean vendor?' 's/^vendor/vendro/' plugin.yaml
refused 'SOURCES is missing' 's/SOURCES planner.cpp //' CMakeLists.txt
if [[ $runtime ]]; then
  rm "$libdir/cmake/Plimsoll/PlimsollRuntimeTargets"*
  refused 'this installation only plans' 's/OPTIONAL_COMPONENTS //' CMakeLists.txt
fi

# ---- pkg-config --------------------------------------------------------------------------------------------

if has pkg-config; then
  export PKG_CONFIG_PATH=$libdir/pkgconfig
  for cc in gcc clang; do
    has $cc || continue
    eval "flags=($(pkg-config --cflags --libs plimsoll))" # quoted, as the prefix has a blank
    if $cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$work/consumer/host.c" "${flags[@]}" "-Wl,-rpath,$libdir" -o "$work/plain"; then plans "$work/plain"
    else wrong "no build with $cc and pkg-config"; fi
    [[ -z $runtime ]] && continue
    eval "flags=($(pkg-config --cflags --libs plimsoll-runtime))"
    $cc -std=c17 -Wall -Werror "$work/consumer/runtime.c" "${flags[@]}" "-Wl,-rpath,$libdir" -o "$work/plain" && "$work/plain" > /dev/null ||
      wrong "no build of the runtime's host with $cc and pkg-config"
  done
  program=$(pkg-config --variable=program plimsoll-sdk)
  "${program//\\/}" --version > /dev/null || wrong "pkg-config names no program: $program"
else
  echo "not tried: pkg-config is not here"
fi
exit $failed
