"""Runs the blocks of Python of a page, one after another. PACKAGES LIBRARIES PAGE"""
import os
import sys

os.environ["PLIMSOLL_LIBRARY_PATH"] = sys.argv[2]
os.environ["HF_HUB_CACHE"] = "/nonexistent"
sys.path.insert(0, sys.argv[1])

names: dict = {}
blocks = 0
with open(sys.argv[3], encoding="utf-8") as page:
    lines = page.read().split("\n")
begin = None
for at, line in enumerate(lines):
    if line == "```python":
        begin = at + 1
    elif line == "```" and begin is not None:
        # Empty lines in front, so that what fails is named by its line.
        exec(compile("\n" * begin + "\n".join(lines[begin:at]), sys.argv[3], "exec"), names)
        blocks += 1
        begin = None
assert blocks > 3, blocks
