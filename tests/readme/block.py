"""Prints the first fenced block of a language in a Markdown file, so that it can be compiled or run.

    block.py README.md cpp
"""

import re
import sys


def main():
    file, language = sys.argv[1:]
    with open(file, encoding="utf-8") as markdown:
        found = re.search(rf"^```{language}\n(.*?)^```$", markdown.read(), re.DOTALL | re.MULTILINE)
    if not found:
        sys.exit(f"{file} has no ```{language} block")
    print(found.group(1), end="")


if __name__ == "__main__":
    main()
