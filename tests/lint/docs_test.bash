#!/bin/bash
# docs_test ROOT PROGRAM CXX CC: what the SDK's pages show is true. Every block of C++ and C compiles, every block of YAML is a manifest
# that PROGRAM takes. A block of C++ with an #include is a file, whose identity is that of the manifest before it; others are members or
# statements of a planner, which stands around them here.
set -u
root=$1 program=$2 cxx=$3 cc=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
includes=(-I "$root/core/abi/include" -I "$root/sdk/include" -Wall -Wextra -Werror)

around='#include <plimsoll/plugin_util.hpp>
using namespace plimsoll;
struct Around : DelegatingPlanner {
  explicit Around(const Config& config) : DelegatingPlanner(config, "/text_config") {}
  std::uint64_t hidden_ = 64, heads_ = 4, kv_heads_ = 2, head_dim_ = 16, ffn_ = 128, vocab_ = 1000, experts_ = 8, width_ = 32, rows_ = 9;
  std::vector<std::uint32_t> layers_{0, 1}, state_layers_{1};
};'

# The blocks of a page, each in a file <folder>/<line>.<language>; <line> is where its text begins.
split() { # PAGE FOLDER
  awk -v folder="$2" '
    /^```/ && open { open = 0; close(file); next }
    /^```/ { open = 1; language = substr($0, 4); if (language == "") language = "text"; file = folder "/" (NR + 1) "." language; printf "" > file; next }
    open { print > file }' "$1"
}

# Nothing where a manifest is taken; else what is wrong. Leaves its identity in the folder, where it has one.
check_manifest() { # BLOCK FOLDER
  mkdir -p "$2/plugin"
  cp "$1" "$2/plugin/plugin.yaml"
  echo '{}' > "$2/plugin/models.json"
  if grep -q '^families:' "$1"; then
    "$program" plugins identity "$2/plugin" -o "$2/plimsoll_identity.h" 2>&1
  else
    "$program" plugins inspect "$2/plugin" --trust open 2>&1 >/dev/null
  fi
}

check_page() { # PAGE; says what is wrong with it
  local folder name block line language said fragments
  folder=$(mktemp -d -p "$work")
  name=${1#"$root/"}
  split "$1" "$folder"
  fragments="$folder/fragments.cpp"
  echo "$around" > "$fragments"
  for block in $(find "$folder" -name '[0-9]*.*' -printf '%f\n' | sort -n); do
    line=${block%%.*} language=${block#*.} said=
    case $language in
      yaml) said=$(check_manifest "$folder/$block" "$folder") ;;
      c) said=$("$cc" -std=c11 -fsyntax-only "${includes[@]}" -I "$folder" "$folder/$block" 2>&1) ;;
      cpp)
        if grep -q '#include' "$folder/$block"; then
          said=$("$cxx" -std=c++17 -fsyntax-only "${includes[@]}" -I "$folder" "$folder/$block" 2>&1)
        else
          {
            echo "namespace block_$line { struct Planner : Around { using Around::Around;"
            grep -q ' override' "$folder/$block" || echo "void all(const Config& config, const Request& request, const Sink& out) const { (void)config, (void)request, (void)out;"
            echo "#line $line \"$name\""
            cat "$folder/$block"
            grep -q ' override' "$folder/$block" || echo "}"
            echo "}; }"
          } >> "$fragments"
        fi ;;
      cmake|json|text) ;;
      python) [[ $1 == */python.md ]] || said="a block of Python stands in python.md, whose blocks are run" ;;
      *) said="a block of '$language', which nobody checks" ;;
    esac
    [[ -z $said ]] || printf '%s:%s: %s\n' "$name" "$line" "$said"
  done
  "$cxx" -std=c++17 -fsyntax-only "${includes[@]}" "$fragments" 2>&1
}

# The check itself must see what it looks for.
sound='```cpp\nout.kv(KvGroup(KvKind::kFull, "x", layers_));\n```\n```yaml\nschema: plimsoll.plugin/1\nid: a\nversion: 1.0.0\nvendor: A\naliases: {a: b}\n```\n'
planted=("s/KvKind::kFull/KvKind::kFool/" "s/layers_/layers/" "s/vendor/vendro/" "s/cpp/c++/")
printf "$sound" > "$work/page.md"
said=$(check_page "$work/page.md")
[[ -z $said ]] || { echo "a sound page is not: $said"; exit 1; }
for edit in "${planted[@]}"; do
  printf "$sound" | sed "$edit" > "$work/page.md"
  [[ -n $(check_page "$work/page.md") ]] || { echo "blind to $edit"; exit 1; }
done

failed=0

# What shows a host shows a program that is built and run: every block of C++ stands in it.
check_host_page() { # PAGE PROGRAM
  local folder block whole
  folder=$(mktemp -d -p "$work")
  split "$1" "$folder"
  whole=$(<"$2")
  for block in "$folder"/*.cpp; do
    [[ $whole == *"$(<"$block")"* ]] || printf '%s:%s: is no part of %s\n' "${1#"$root/"}" "$(basename "$block" .cpp)" "${2#"$root/"}"
  done
}
said=$(check_host_page "$root/sdk/docs/host_runtime.md" "$root/tests/examples/host_runtime/main.cpp")
[[ -z $said ]] || { echo "$said"; failed=1; }
[[ -n $(check_host_page "$root/sdk/docs/host_runtime.md" "$root/tests/examples/host_cpp/main.cpp") ]] || { echo "blind to a host of another page"; failed=1; }

for page in "$root"/sdk/docs/*.md; do
  [[ $page == */host_runtime.md ]] && continue
  said=$(check_page "$page")
  [[ -z $said ]] || { echo "$said"; failed=1; }
done
exit $failed
