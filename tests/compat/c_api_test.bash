#!/bin/bash
# c_api_test ROOT CC REFERENCE LIBRARY...: what hosts in C link is what it was. The libraries export the functions that plimsoll/host.h and
# plimsoll/runtime.h declare and no others of our name; and no type of these functions has changed since REFERENCE was written, by the word of
# libabigail. It does not depend on how the libraries are built: a stub is made of the headers and compiled with debug information.
# c_api_test --write ROOT CC REFERENCE: writes the reference anew; that is right where functions were added.
# Exit 77 (skipped) where abidw and abidiff are not here, after the rest was looked at.
set -u
write=
[[ $1 == --write ]] && { write=1; shift; }
root=$1 cc=$2 reference=$3 failed=0
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong() {
  echo "$1"
  failed=1
}

# ---- the headers' functions, a line each -------------------------------------------------------------------

printf '#include <plimsoll/host.h>\n' > "$work/host.c"
printf '#include <plimsoll/host.h>\n#include <plimsoll/runtime.h>\n' > "$work/headers.c"
declarations() { # FOLDER SOURCE
  "$cc" -E -P -I "$1" "$2" | tr -s ' \n' '  ' | tr ';' '\n' | grep -F '__attribute__((visibility("default")))'
}
# Of the host's header alone where the runtime library is not built.
functions=$(declarations "$root/core/include" "$work/$( (($# == 1)) && echo host || echo headers).c" | grep -oE 'plimsoll_[a-z0-9_]+ ?\(' | tr -d ' (' | sort)
(($(wc -w <<< "$functions") > 15)) || { wrong "few functions were read of the headers: $functions"; exit 1; }

# plimsoll_worker_main of plimsoll/worker.h is called by our own program alone, of the same version.
exported=$(for library in "$@"; do nm -D --defined-only "$library"; done | awk '$3 ~ /^plimsoll_/ && $3 != "plimsoll_worker_main" { print $3 }' | sort)
[[ $write || $exported == "$functions" ]] || wrong "declared (<) and exported (>) differ:
$(diff <(echo "$functions") <(echo "$exported"))"

# ---- their types -------------------------------------------------------------------------------------------

for tool in abidw abidiff; do
  command -v $tool > /dev/null || { echo "skipped: $tool is not here; Debian's package abigail-tools has it"; exit $((failed ? 1 : 77)); }
done
# A shared library of the functions, with the types of the headers; SED edits declarations and headers alike, for canaries.
stub() { # FOLDER [SED]
  rm -rf "$1"
  mkdir -p "$1/plimsoll"
  cp "$root"/core/include/plimsoll/{host,runtime}.h "$1/plimsoll"
  if (($# > 1)); then sed -i -E "$2" "$1"/plimsoll/*.h; fi
  { cat "$work/headers.c"; declarations "$1" "$work/headers.c" | sed 's/$/ { __builtin_trap(); }/'; } > "$1/stub.c"
  (cd "$1" && "$cc" -std=c11 -g -gdwarf-4 -O0 -fPIC -shared -fvisibility=hidden -Wl,-soname,stub.so -I . stub.c -o stub.so)
}
describe() { # FOLDER; writes FOLDER/abi
  abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-write-default-sizes --out-file "$1/abi" "$1/stub.so"
}
# 0 where nothing is gone or other than in the reference. What is new may be.
same() { # FOLDER
  describe "$1" && abidiff --no-added-syms "$reference" "$1/abi" > "$1/said" 2>&1
}

stub "$work/now" && describe "$work/now" || exit 1
if [[ $write ]]; then
  cp "$work/now/abi" "$reference"
  exit
fi
same "$work/now" || wrong "hosts that were linked before would break: $(cat "$work/now/said")"

# ---- canaries: it would notice -----------------------------------------------------------------------------

canary() { # NAME EXPECTED SED
  stub "$work/canary" "$3" || { wrong "$1: does not compile"; return; }
  cmp -s "$work/now/stub.c" "$work/canary/stub.c" && diff -r "$work/now/plimsoll" "$work/canary/plimsoll" > /dev/null && { wrong "$1: the edit changes nothing"; return; }
  same "$work/canary" && { wrong "$1: nobody noticed"; return; }
  grep -qF -- "$2" "$work/canary/said" || wrong "$1: '$2' was expected: $(cat "$work/canary/said")"
}
canary "another type of an argument" plimsoll_plan_rank_bytes 's/(plimsoll_plan_rank_bytes\(const plimsoll_plan\* plan, )uint32_t rank/\1uint64_t rank/'
canary "an argument more" plimsoll_plan_limit 's/(plimsoll_plan_limit\(const plimsoll_plan\* plan, int which)/\1, int how/'
canary "another result" plimsoll_plan_verdict 's/int (plimsoll_plan_verdict)/int64_t \1/'
canary "a function is gone" plimsoll_plan_text 's/^PLIMSOLL_HOST_EXPORT int (plimsoll_plan_text)\(/int \1(/'
canary "a field is inserted" plimsoll_kv_work 's/^  uint64_t hit_tokens;/  uint32_t more;\n&/'
canary "a field is appended to what callers allocate" plimsoll_kv_work 's/^  int reaches_end;/&\n  uint64_t more;/'
# And it lets pass what may be.
stub "$work/added" 's/^PLIMSOLL_HOST_EXPORT uint32_t plimsoll_plan_rank_count/PLIMSOLL_HOST_EXPORT int plimsoll_plan_more(const plimsoll_plan* plan);\n&/' &&
  same "$work/added" || wrong "a function more is refused: $(cat "$work/added/said")"
exit $failed
