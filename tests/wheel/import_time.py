"""Prints what `import poolwise` takes once numpy is imported, and with it: the median of nine processes, below 100 ms."""

import statistics
import subprocess
import sys


def milliseconds(before, imported):
    program = f"{before}\nimport time; t = time.perf_counter(); import {imported}; print(1e3 * (time.perf_counter() - t))"
    return statistics.median(float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
                             for _ in range(9))


alone, beside_numpy = milliseconds("", "poolwise"), milliseconds("import numpy", "poolwise")
print(f"import poolwise: {alone:.0f} ms, of which {alone - beside_numpy:.0f} ms are numpy's where it is imported")
sys.exit(beside_numpy >= 100)
