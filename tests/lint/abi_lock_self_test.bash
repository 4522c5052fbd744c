#!/bin/bash
# abi_lock_self_test GENERATOR CHECKER HEADER LOCK CC: the lock notices the edits that break plugins. Each row is a
# sed edit of the header and the words that the checker must say.
set -u
generator=$1 checker=$2 header=$3 lock=$4 cc=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/plimsoll"
failed=0

try() { # NAME EXPECTED SED...
  local name=$1 expected=$2 said
  shift 2
  sed "$@" "$header" > "$work/plimsoll/abi.h"
  if cmp -s "$header" "$work/plimsoll/abi.h"; then
    echo "$name: the edit changes nothing; adapt it to the header"
    failed=1
    return
  fi
  said=$({ "$generator" "$work/plimsoll/abi.h" "$work/layout.c" && "$cc" -I "$work" -o "$work/layout" "$work/layout.c" &&
    "$checker" "$work/layout" "$lock"; } 2>&1)
  if [[ $? -eq 0 || $said != *"$expected"* ]]; then
    echo "$name: expected '$expected', the checker said: $said"
    failed=1
  fi
}

try "a field moves" "BROKEN field plimsoll_error.where" 's/  char where\[128\];/  uint32_t new_field; &/'
try "a field grows" "BROKEN field plimsoll_error.message" 's/char message\[384\]/char message[512]/'
try "a field changes sign" "BROKEN field plimsoll_facts.n_layers" '/plimsoll_facts {/,/}/ s/uint32_t n_layers/int32_t n_layers/'
try "a field is removed" "BROKEN field plimsoll_facts.draft_layers" '/uint64_t draft_layers;/d'
try "an enumerator is renumbered" "BROKEN enum PLIMSOLL_E_MEMORY" 's/PLIMSOLL_E_MEMORY = 8/PLIMSOLL_E_MEMORY = 18/'
try "an enumerator is removed" "BROKEN enum PLIMSOLL_E_REQUEST" '/PLIMSOLL_E_REQUEST/d'
try "a function takes more" "BROKEN field plimsoll_planner_api.destroy" 's/(\*destroy)(plimsoll_planner\* self)/(*destroy)(plimsoll_planner* self, int how)/'
try "a fixed struct grows" "BROKEN fixed plimsoll_str" '/typedef struct plimsoll_str {/ a uint64_t more;'
try "a struct loses its size" "NEW    fixed plimsoll_part" '/typedef struct plimsoll_part {/,/}/ s/uint32_t struct_size/uint32_t size/'
try "a limit falls" "BROKEN define PLIMSOLL_MAX_DIMS" 's/\(PLIMSOLL_MAX_DIMS *\)8u/\14u/'
try "a field is appended" "NEW    field plimsoll_error.more" 's/^} plimsoll_error;/  uint64_t more;\n&/'
try "an unknown construct" "does not know" 's/^extern PLIMSOLL_EXPORT/typedef union plimsoll_any { int i; } plimsoll_any;\n&/'
exit $failed
