"""The command `poolwise`, which lies in the package."""

import os
import pathlib
import sys


def main():
    command = pathlib.Path(__file__).parent / "bin" / "poolwise"
    try:
        os.execv(command, [str(command), *sys.argv[1:]])
    except OSError as problem:
        sys.exit(f"poolwise: {command} cannot be run ({problem.strerror}); install poolwise again")


if __name__ == "__main__":
    main()
