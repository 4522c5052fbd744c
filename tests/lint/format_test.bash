#!/bin/bash
# format_test ROOT: every C and C++ source is as the project's clang-format leaves it. Exit 77 (skipped) where
# clang-format is absent or of another major version, whose taste differs.
set -u
root=$1
cd "$root" || exit 1
tool=clang-format-14
command -v "$tool" >/dev/null || tool=clang-format
if ! command -v "$tool" >/dev/null; then
  echo "skipped: no clang-format here; Debian's package clang-format has it"
  exit 77
fi
version=$("$tool" --version | grep -oE 'version [0-9]+' | head -n 1)
if [[ $version != "version 14" ]]; then
  echo "skipped: $("$tool" --version) is not the version 14 that the style is written for"
  exit 77
fi
wrong=$(find core plugins sdk tests tools -type f \( -name '*.cpp' -o -name '*.hpp' -o -name '*.c' -o -name '*.h' \) -print0 |
  xargs -0 -r -n 16 -P 2 "$tool" --dry-run -Werror 2>&1 | sed -nE 's/^([^: ]+):[0-9]+:[0-9]+: error:.*/\1/p' | sort -u)
[[ -z $wrong ]] && exit 0
echo "not as $tool leaves them:"
sed 's/^/  /' <<< "$wrong"
echo "run: $tool -i $(tr '\n' ' ' <<< "$wrong")"
exit 1
