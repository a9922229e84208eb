"""Fails unless the README has the table of strategies that the command prints.

    strategies.py README.md COMMAND
"""

import subprocess
import sys


def main():
    file, command = sys.argv[1:]
    table = subprocess.run([command, "strategies", "--markdown"], check=True, capture_output=True, text=True).stdout
    with open(file, encoding="utf-8") as markdown:
        text = markdown.read()
    missing = [line for line in table.splitlines() if line not in text]
    if table not in text:
        print("The README lacks these lines of `poolwise strategies --markdown`, or has them in another order:", *missing, sep="\n")
    return 0 if table.count("\n") > 20 and table in text else 1


if __name__ == "__main__":
    sys.exit(main())
