"""Runs every code block of a page, in their order, in a folder of its own: ```sh by bash, ```python in one interpreter.

    blocks.py PAGE COMMAND      with the package `poolwise` on PYTHONPATH

A page whose imports are not there, such as torch, is reported as not run (77). A block in another language, but for
```text, is an error: nobody would run it.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

NOT_RUN = 77
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run_python(page, line, source, names):
    try:
        exec(compile("\n" * line + source, page, "exec"), names)  # so that a traceback has the page's lines
    except ModuleNotFoundError as missing:
        print(f"{page}:{line}: not run, {missing.name} is not here")
        sys.exit(NOT_RUN)


def run(page, text):
    names, blocks = {"__name__": "__main__"}, 0
    for found in BLOCK.finditer(text):
        language, source = found.groups()
        line = text.count("\n", 0, found.start()) + 1
        if language == "python":
            run_python(page, line, source, names)
        elif language == "sh":
            if subprocess.run(["bash", "-euo", "pipefail", "-c", source], check=False).returncode != 0:
                sys.exit(f"{page}:{line}: this block fails")
        elif language != "text":
            sys.exit(f"{page}:{line}: a block in {language or 'no language'}; make it sh, python or text")
        blocks += language != "text"
        sys.stdout.flush()
    print(f"{page}: {blocks} blocks ran")


def main():
    page, command = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        tools = pathlib.Path(folder, "tools")
        tools.mkdir()
        (tools / "poolwise").symlink_to(command)
        (tools / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python3").chmod(0o755)
        os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
        work = pathlib.Path(folder, "work")
        work.mkdir()
        os.chdir(work)
        run(page.name, text)


if __name__ == "__main__":
    main()
