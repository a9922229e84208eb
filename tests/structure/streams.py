#!/usr/bin/env python3
"""Reads the numbers of all random streams and fails where two streams share one: their draws would be the same.

A stream is defined beside the code that draws from it, as in `constexpr stream order_stream{8};`, and nowhere else.
"""
import pathlib
import re
import sys

ROOTS = ["kernels", "engine", "bindings"]
SOURCES = {".hpp", ".cpp", ".cuh", ".cu"}
DEFINITION = re.compile(r"constexpr stream \w+_stream\{\d+\}(, \w+_stream\{\d+\})*;")
NAMELESS = re.compile(r"\bstream\s*[{(]\s*\d")


def complaints(lines):
    """lines: (place, text). A number stands in one definition, and nowhere else."""
    owner, found = {}, []
    for place, text in lines:
        code = text.split("//")[0].strip()
        if NAMELESS.search(code):
            found.append(f"{place}: a stream without a name; define it as `constexpr stream ..._stream{{NUMBER}};`")
        for number in re.findall(r"\{(\d+)\}", code) if DEFINITION.fullmatch(code) else []:
            if number in owner:
                found.append(f"{place}: {number} is the number of the stream at {owner[number]}; take another")
            owner[number] = place
    return len(owner), found


def lines_of(root):
    files = sorted(path for part in ROOTS for path in (root / part).rglob("*") if path.suffix in SOURCES)
    for path in files:
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{path.relative_to(root)}:{number}", text


PLANTED = [
    (["constexpr stream a_stream{1};", "constexpr stream b_stream{2}, c_stream{3};"], True),
    (["constexpr stream a_stream{1};", "constexpr stream b_stream{1};"], False),
    (["constexpr stream a_stream{1};", "constexpr stream b_stream{2}, c_stream{1};"], False),
    (["constexpr stream a_stream{1}, b_stream{1};"], False),
    (["constexpr stream a_stream{1};", "  random_bits(seed, stream{2}, 0);"], False),
    (["constexpr stream a_stream{1};", "  random_bits(seed, stream(1), 0);"], False),
    (["constexpr stream a_stream{1};", "  random_bits(seed, a_stream, 1);"], True),
    (["constexpr stream a_stream{1};", "/// in a line such as `constexpr stream a_stream{1};`"], True),
]


def self_test():
    wrong = [lines for lines, right in PLANTED if (not complaints(list(enumerate(lines, 1)))[1]) != right]
    print(*wrong, f"{len(PLANTED)} planted texts, {len(wrong)} judged wrongly", sep="\n")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    streams, found = complaints(lines_of(pathlib.Path(__file__).resolve().parents[2]))
    print(*found, f"{streams} streams", sep="\n")
    return 1 if found or not streams else 0


if __name__ == "__main__":
    sys.exit(main())
