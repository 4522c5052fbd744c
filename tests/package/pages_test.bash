#!/bin/bash
# pages_test PROGRAM PAGES: every option that a command's help has stands in its man page and in each completion; pages render without a
# complaint; bash completes what it should; zsh and fish read theirs, where they are here.
set -u
program=$1 pages=$2 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
has() { command -v "$1" >/dev/null; }
wrong() {
  echo "$1"
  failed=1
}

for page in "$pages"/man1/plimsoll-*.1; do
  command=$(basename "$page" .1)
  command=${command#plimsoll-}
  grep -q "complete -c plimsoll -n __fish_use_subcommand -f -a $command " "$pages/fish/plimsoll.fish" || wrong "fish does not know $command"
  zsh=$(awk -v command="    $command)" '$0 == command { on = 1 } on { print } on && /;;$/ { exit }' "$pages/zsh/_plimsoll")
  bash=$(grep "^    $command) options=" "$pages/bash/plimsoll")
  options=$("$program" "$command" --help | grep -oE '^  (-[a-z],)?--[a-z-]+' | grep -oE '\-\-[a-z-]+')
  [[ $(wc -w <<< "$options") -ge 5 ]] || wrong "$command: no options were read of its help"
  for option in $options; do
    grep -qF -- "\\fB${option//-/\\-}\\fR" "$page" || wrong "$(basename "$page") lacks $option"
    [[ " ${bash//\'/ } " == *" $option "* ]] || wrong "bash: $command lacks $option"
    grep -qE -- "[*{,']$option['},]" <<< "$zsh" || grep -qF -- "'*'$option'" <<< "$zsh" || wrong "zsh: $command lacks $option"
    grep -q -- "from $command'.* -l ${option#--} " "$pages/fish/plimsoll.fish" || wrong "fish: $command lacks $option"
  done
done
for command in $("$program" --help --format json | grep -o '"name": "[a-z-]*"' | cut -d'"' -f4); do
  "$program" "$command" --help >/dev/null 2>&1 || continue # not in this build
  [[ -e $pages/man1/plimsoll-$command.1 ]] || wrong "no page of $command"
done

if has man && has groff; then
  for page in "$pages"/man1/*.1; do
    said=$(groff -man -Tutf8 -ww -z "$page" 2>&1)
    [[ -z $said ]] || wrong "$(basename "$page"): $said"
  done
  MANWIDTH=100 man -l "$pages/man1/plimsoll-plan.1" 2>"$work/log" | sed 's/.\x08//g' > "$work/page"
  grep -q 'Print this help message and exit' "$work/page" && grep -qE -- '--max-length' "$work/page" || wrong "man -l plimsoll-plan.1: $(cat "$work/log")"
else
  echo "not tried: man is not here"
fi

complete_in_bash() { # WORD...; the last is completed
  bash -c 'source "$1"; shift; COMP_WORDS=(plimsoll "$@"); COMP_CWORD=$#; _plimsoll; printf "%s\n" "${COMPREPLY[@]}"' _ "$pages/bash/plimsoll" "$@" | sort | tr '\n' ' '
}
completes() { # EXPECTED WORD...
  local said
  said=$(complete_in_bash "${@:2}")
  [[ $said == "$1 " ]] || wrong "bash completes ${*:2} with '$said', not '$1'"
}
completes 'plan' pla
completes '--max-batch-input-tokens --max-batch-size --max-batch-total-tokens' plan --max-b
completes 'json jsonl' estimate --format js
completes 'always auto' plan --color a
completes '' plan --tp ''
mkdir "$work/folder"
touch "$work/folder/model.gguf"
completes "$work/folder/model.gguf" plan "$work/folder/mo"
if has zsh; then zsh -n "$pages/zsh/_plimsoll" || failed=1; else echo "not tried: zsh is not here"; fi
if has fish; then fish --no-execute "$pages/fish/plimsoll.fish" || failed=1; else echo "not tried: fish is not here"; fi
exit $failed
