"""Runs a gate on the kernels of spoilt.cu: it must fail, and say which kernel broke which limit.

    expect_red.py EXPECTED... -- COMMAND...      EXPECTED: what a line that begins FAILED holds, a regular expression
"""
import re
import subprocess
import sys

from limits import NOT_RUN

at = sys.argv.index("--")
expected, command = sys.argv[1:at], sys.argv[at + 1:]
gate = subprocess.run(command, capture_output=True, text=True)
print(gate.stdout, gate.stderr)
if gate.returncode == NOT_RUN:
    sys.exit(NOT_RUN)
failed = [line for line in gate.stdout.splitlines() if line.startswith("FAILED")]
missing = [what for what in expected if not any(re.search(what, line) for line in failed)]
for what in missing:
    print(f"the gate did not find: {what}")
for line in failed:
    if not any(re.search(what, line) for what in expected):
        print(f"the gate found what is not there: {line}")
        missing.append(line)
sys.exit(1 if missing or gate.returncode == 0 else 0)
