#!/bin/bash
# No test's name holds bytes or addresses of its parameters: they differ from run to run, so that nobody can ask for the test
# again. Usage: test_names_test.bash BUILD_FOLDER CTEST
set -euo pipefail

odd='byte object <|0x[0-9a-fA-F]{6}'
# The check itself must see what it looks for.
grep -qE "$odd" <<<'  Test  #1: Suite/Case.Name/0  # GetParam() = 24-byte object <08-F0 E1-58>' || { echo "the pattern is blind" >&2; exit 1; }

names=$("$2" --test-dir "$1" --show-only)
if ! grep -q 'Test *#1:' <<<"$names"; then
  echo "no tests are listed in $1" >&2
  exit 1
fi
if bad=$(grep -E "$odd" <<<"$names"); then
  printf 'give these parameters a PrintTo or a printable type:\n%s\n' "$bad" >&2
  exit 1
fi
