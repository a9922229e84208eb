#!/usr/bin/env python3
"""Finds every function of a public header of kernels that the engine cannot reach, and fails unless the header says so.

It is reached where engine calls it, or a kernel of another subject does. One that is not is for users of the library:
the comment above it has a sentence that begins with "Library-only".
"""
import pathlib
import re
import sys
import tempfile

# A declaration at the left margin: a type, a name, and what stands in parentheses up to a semicolon.
DECLARED = re.compile(r"^(?:inline |constexpr |\[\[\w+\]\] )*[A-Za-z_][\w:<>,&* ]*?[ &*>](\w+)\((?:[^;{]*)[;{]", re.M)
COMMENT = re.compile(r"((?:^///[^\n]*\n)+)\Z", re.M)


def public_headers(root):
    """Those with algorithms: core is what they are made of."""
    return [path for path in sorted((root / "kernels/poolwise").rglob("*.hpp"))
            if "detail" not in path.parts and not path.name.endswith("-inl.hpp") and path.parent.name != "core"]


def declarations(text):
    """By name, whether the comment above one of its overloads excuses it."""
    found, excused = {}, False
    for match in DECLARED.finditer(text):
        comment = COMMENT.search(text[: match.start()])
        if comment:
            excused = "Library-only" in comment[1]
        found[match[1]] = found.get(match[1], False) or excused
    return found


def callers(root):
    """By name, the stems of the sources that call it: engine's as one, a kernel's without its backend."""
    found = {}
    for path in [*(root / "engine").rglob("*.?pp"), *(root / "kernels").rglob("*.c*")]:
        stem = "engine" if "engine" in path.relative_to(root).parts else path.stem.removesuffix("_cuda")
        for name in re.findall(r"\b(\w+)(?:<[^<>;]*>)?\s*\(", path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(stem)
    return found


def complaints(root):
    called = callers(root)
    found, count = [], 0
    for path in public_headers(root):
        for name, excused in sorted(declarations(path.read_text(encoding="utf-8")).items()):
            count += 1
            if bool(called.get(name, set()) - {path.stem}) == excused:
                where = path.relative_to(root)
                found.append(f"{where}: {name} " + ("is reached from the engine, and said to be library-only" if excused else
                             "is not reached from the engine; call it there, or say that it is Library-only"))
    return count, found


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "kernels/poolwise/score").mkdir(parents=True)
        (root / "engine").mkdir()
        (root / "kernels/poolwise/score/a.hpp").write_text(
            "/// Used.\nvoid used(int a,\n          int b);\n/// Forgotten.\nstd::vector<int> forgotten(int a);\n"
            "/// Library-only: for users.\nvoid excused();\nvoid excused(int);\n/// Library-only.\nvoid both();\n")
        (root / "engine/a.cpp").write_text("void f() { used(1, 2); both(); }\n")
        count, found = complaints(root)
    right = count == 4 and len(found) == 2 and "both" in found[0] and "forgotten" in found[1]
    print(*found, "the planted ones are judged " + ("rightly" if right else "wrongly"), sep="\n")
    return 0 if right else 1


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    count, found = complaints(pathlib.Path(__file__).resolve().parents[2])
    print(*found, f"{count} public functions, {len(found)} that are not reached, nor excused", sep="\n")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
