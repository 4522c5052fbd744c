#!/bin/bash
# types_test PACKAGES: the package is typed as strictly as mypy can ask, and a host of it gets types: of figures, and an error for what is none.
# Exit 77 (skipped) where mypy is not here.
set -u
packages=$1 failed=0
command -v mypy > /dev/null || { echo "skipped: mypy is not here; Debian's package mypy has it"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong() {
  echo "$1"
  failed=1
}
typed() { MYPYPATH=$packages mypy --strict --cache-dir "$work/cache" "$@" 2>&1; }

said=$(typed "$packages/plimsoll") || wrong "$said"
cat > "$work/host.py" <<'PYTHON'
import plimsoll

plan = plimsoll.plan("Qwen/Qwen3-8B", devices="2xH100", engine="vllm", tp=2, set={"engine.prefix_caching": False})
kept: int = plan.devices[0].kv_cache_bytes + sum(item.bytes for item in plan.items)
binding: str = plan.limits.binding
command: str = plimsoll.fit("Qwen/Qwen3-8B", on=["H100"]).rows[0].plan_command
shapes: list[tuple[int, ...]] = [kind.shape for kind in plimsoll.weights("Qwen/Qwen3-8B", devices=["80GiB"]).classes]
pages = plimsoll.KvManager(plimsoll.Plan(plimsoll.Context(trust="open"), model="Qwen/Qwen3-8B", devices="1xH100"), layout="exact")
try:
    pages.admit(7, [1, 2, 3])
except plimsoll.InsufficientBlocks as error:
    where: str = error.where
PYTHON
said=$(typed "$work/host.py") || wrong "a sound host: $said"
while read -r line; do
  { cat "$work/host.py"; echo "$line"; } > "$work/wrong.py"
  said=$(typed "$work/wrong.py") && wrong "nobody minds: $line"
  [[ $(grep -c ': error: ' <<< "$said") -ge 1 && $said != *'host.py'* ]] || wrong "$line: $said"
done <<'PYTHON'
plan.devices[0].kv_bytes
text: str = plan.kv_cache.pages
plan.verdict = "fits"
plimsoll.plan(42)
plimsoll.plan("x", devices=8)
plimsoll.fit("x", max_devices="8")
pages.admit("7", [1])
plimsoll.KvManager("x")
PYTHON
exit $failed
