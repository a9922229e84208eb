"""Fails unless libpoolwise_c shows the symbols of symbols.map, by their versions, and the header declares them all.

    symbols.py LIBRARY symbols.map poolwise.h
"""

import pathlib
import re
import subprocess
import sys


def shown_by(library):
    table = subprocess.run(["nm", "--dynamic", "--defined-only", "--with-symbol-versions", library],
                           check=True, capture_output=True, text=True).stdout
    return {line.split()[2] for line in table.splitlines() if line.split()[1] != "A"}


def listed_in(versions):
    text = re.sub(r"#.*", "", versions)
    return {f"{name}@@{block}" for block, body in re.findall(r"(\w+) \{(.*?)\}", text, re.DOTALL)
            for name in re.findall(r"\b(poolwise_\w+);", body)}


def main():
    library, versions, header = sys.argv[1:]
    shown, listed = shown_by(library), listed_in(pathlib.Path(versions).read_text())
    declared = set(re.findall(r"\b(poolwise_\w+)\(", re.sub(r"/\*.*?\*/", "", pathlib.Path(header).read_text(), flags=re.DOTALL)))
    names = {symbol.split("@")[0] for symbol in listed}
    wrong = [f"{symbol} is shown, and not listed" for symbol in sorted(shown - listed)]
    wrong += [f"{symbol} is listed, and not shown" for symbol in sorted(listed - shown)]
    wrong += [f"{name} is listed, or declared in the header, and not both" for name in sorted(names ^ declared)]
    print(*wrong, f"{len(listed)} symbols, {len(wrong)} wrong", sep="\n")
    return 1 if wrong or not listed else 0


if __name__ == "__main__":
    sys.exit(main())
