#!/bin/bash
# cell_test HOST PLUGIN HEARD MINORS NEXT: one cell of who meets whom. HOST hears of PLUGIN what HEARD says, whatever minors the two are of; in
# its first line the plugin's, the first of MINORS. NEXT says what it hears of the fields that only a next minor has:
#   none    it does not know them           absent  the plugin does not          said    all of them
#   refused nothing at all: the plugin needs a host of the first of MINORS, and this is one of the second
#   caught  it reads where the plugin wrote nothing, and a sanitizer stops it
set -u
host=$1 plugin=$2 heard=$3 next=$5
read -r plugins hosts <<< "$4"
said=$("$host" "$plugin" 2>&1)
code=$?
wrong() {
  echo "$1"
  echo "ended with $code, having said: $said"
  exit 1
}
if [[ $next == caught ]]; then
  [[ $code -ne 0 && $said == *AddressSanitizer* ]] || wrong "nobody caught it"
  exit 0
fi
if [[ $next == refused ]]; then
  [[ $code -eq 3 && $said == "refused: needs a host of ABI 1.$plugins or newer; this host is 1.$hosts" ]] || wrong "is not refused with both numbers"
  exit 0
fi
((code == 0)) || wrong "does not get on"
diff <(printf 'com.example.compat 1.0.0 of ABI 1.%s\n' "$plugins"; cat "$heard") <(grep -v '^next ' <<< "$said") || wrong "hears something else"
fields=$(grep -c '^next ' <<< "$said")
absent=$(grep -c '^next .*: absent$' <<< "$said")
spoken=$(grep -c '^next .*: 77$' <<< "$said")
case $next in
  none) ((fields == 0)) || wrong "knows of a minor that it does not have" ;;
  absent) ((fields > 30 && absent == fields)) || wrong "$absent of $fields are absent; all were expected" ;;
  said) ((fields > 30 && spoken == fields)) || wrong "$spoken of $fields are said; all were expected" ;;
  *) wrong "what is '$next'?" ;;
esac
