#!/usr/bin/env python3
"""Reads every include line of the source tree and fails on an arrow that points back, or into a private header.

    bindings -> engine -> kernels -> kernels/poolwise/core      tests and bench see all, nothing sees them

A folder may include itself and the folders named for it here; a new folder is added here first. Private headers, those in
detail/ and those named -inl.hpp, are for their own folder, for those named for it in PRIVATE, and for no public header.
"""
import pathlib
import re
import sys
import tempfile

KERNELS = {
    "core": [],
    "score": ["core"],
    "committee": ["core", "score"],
    "reduce": ["core"],
    "topk": ["core", "score"],
    "distance": ["core"],
    "graph": ["core", "distance"],
    "budget": ["core", "topk", "distance"],
    "diverse": ["core", "score", "committee", "topk", "distance", "graph", "budget"],
}
# In the order in which the data flows: each may include the kernels, itself and those before it.
ENGINE = ["files", "pool", "query", "cluster", "stream", "ledger", "learn", "metrics", "annotate", "report", "loop", "campaign", "reproduce"]
# The folders of kernels and engine whose private headers a folder may include beside its own.
PRIVATE = {
    "score": ["core"],
    "committee": ["core", "score"],
    "reduce": ["core"],
    "topk": ["core"],
    "distance": ["core"],
    "graph": ["core", "distance"],
    "budget": ["core", "distance"],
    "diverse": ["core", "topk", "distance"],
    "files": ["core"],
    "pool": ["core"],
    "query": ["core", "files", "pool"],
    "cluster": ["core", "pool", "query", "diverse"],
    "learn": ["core"],
    "metrics": ["core"],
    "stream": ["core", "files"],
    "annotate": ["core", "metrics"],
    "loop": ["core"],
    "reproduce": ["files"],
    "campaign": ["core", "files", "ledger", "pool"],
    "serve": ["files"],
    "mpi": ["cluster"],
}

ROOTS = ["kernels", "engine", "bindings", "tests", "bench"]
SOURCES = {".hpp", ".cpp", ".h", ".c", ".cuh", ".cu"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def allowed_folders():
    kernels = {f"kernels/poolwise/{name}": [f"kernels/poolwise/{seen}" for seen in before]
               for name, before in KERNELS.items()}
    engine = {f"engine/poolwise/{name}": [*kernels, *(f"engine/poolwise/{seen}" for seen in ENGINE[:i])]
              for i, name in enumerate(ENGINE)}
    libraries = [*kernels, *engine]
    bindings = {f"bindings/{name}": libraries for name in ("c", "cli", "http", "mpi", "python", "serve")}
    everything = [*libraries, *bindings]
    return {**kernels, **engine, **bindings, "tests": everything, "bench": everything}


ALLOWED = allowed_folders()


def is_private(path):
    return "detail" in path.parts or path.name.endswith("-inl.hpp")


def is_public_header(path):
    return path.suffix == ".hpp" and path.parts[0] in ("kernels", "engine") and not is_private(path)


def may_see_private(here, there):
    return here == there or here in ("tests", "bench") or there.split("/")[-1] in PRIVATE.get(here.split("/")[-1], [])


def folder_of(path):
    """The folder of the table that `path`, relative to the tree, lies in; None outside the table."""
    parts = path.parts
    return next((name for name in ("/".join(parts[:n]) for n in range(1, len(parts))) if name in ALLOWED), None)


def resolve(root, source, name, quoted):
    """The file of the tree that an include line of `source` means; None for a header from elsewhere."""
    places = [source.parent] if quoted else []
    places += [root / part for part in ("kernels", "engine", "bindings/c", "bindings/cli", "bindings/http", "bindings/python", "bindings/serve", "tests", "bench", ".")]
    found = next((place / name for place in places if (place / name).is_file()), None)
    return found.resolve().relative_to(root) if found else None


def complaints_of_line(root, source, line):
    match = INCLUDE.match(line)
    if not match:
        return []
    quoted, name = match[1] is not None, match[1] or match[2]
    target = resolve(root, source, name, quoted)
    if target is None:
        return [f"includes {name}, which is not in the tree"] if name.startswith("poolwise/") else []
    place = source.relative_to(root)
    here, there = folder_of(place), folder_of(target)
    if there != here and there not in ALLOWED[here]:
        return [f"includes {target}: {here} may include {', '.join(ALLOWED[here]) or 'nothing else'}"]
    if is_private(target) and is_public_header(place):
        return [f"includes {target}, which is not installed: a public header includes public headers alone"]
    if is_private(target) and not may_see_private(here, there):
        return [f"includes {target}, which is private: {here} is not listed for {there} in PRIVATE"]
    return []


def complaints(root):
    root = root.resolve()
    files = sorted(path for part in ROOTS for path in (root / part).rglob("*") if path.suffix in SOURCES)
    found = []
    for path in files:
        where = path.relative_to(root)
        if folder_of(where) is None:
            found.append(f"{where}: its folder is not in the table of {pathlib.Path(__file__).name}; add it there")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{where}:{number}: {text}" for text in complaints_of_line(root, path, line)]
    return files, found


# Include lines planted in a tree that holds one header per folder; the last column says whether each is right.
PLANTED = [
    ("kernels/poolwise/core/a.cpp", '"poolwise/core/core.hpp"', True),
    ("kernels/poolwise/core/a.cpp", '"poolwise/score/score.hpp"', False),
    ("kernels/poolwise/core/a.cpp", '"poolwise/pool/pool.hpp"', False),
    ("kernels/poolwise/score/a.cpp", '"poolwise/core/core.hpp"', True),
    ("kernels/poolwise/score/a.cpp", '"poolwise/committee/committee.hpp"', False),
    ("kernels/poolwise/committee/a.cpp", '"poolwise/score/score.hpp"', True),
    ("kernels/poolwise/topk/a.cpp", '"poolwise/committee/committee.hpp"', False),
    ("kernels/poolwise/diverse/a.cpp", '"poolwise/distance/distance.hpp"', True),
    ("kernels/poolwise/diverse/a.cpp", '<poolwise/score/score.hpp>', True),
    ("kernels/poolwise/distance/a.cpp", '<poolwise/score/score.hpp>', False),
    ("kernels/poolwise/distance/a.cpp", '"poolwise/diverse/diverse.hpp"', False),
    ("kernels/poolwise/topk/a.cpp", '"../query/query.hpp"', True),  # no such file: a header from elsewhere
    ("kernels/poolwise/topk/a.cpp", '"../distance/distance.hpp"', False),
    ("kernels/poolwise/topk/a.cpp", '"poolwise/topk/gone.hpp"', False),
    ("kernels/poolwise/topk/a.cpp", '"reference/reference.hpp"', False),
    ("kernels/poolwise/newcomer/a.cpp", '<vector>', False),
    ("engine/poolwise/pool/a.cpp", '"poolwise/diverse/diverse.hpp"', True),
    ("engine/poolwise/pool/a.cpp", '"poolwise/query/query.hpp"', False),
    ("engine/poolwise/files/a.cpp", '"poolwise/pool/pool.hpp"', False),
    ("engine/poolwise/query/a.cpp", '"poolwise/budget/budget.hpp"', True),
    ("kernels/poolwise/budget/a.cpp", '"poolwise/query/query.hpp"', False),
    ("kernels/poolwise/budget/a.cpp", '"poolwise/diverse/diverse.hpp"', False),
    ("kernels/poolwise/distance/a.cpp", '"poolwise/graph/graph.hpp"', False),
    ("kernels/poolwise/graph/a.cpp", '"poolwise/distance/distance.hpp"', True),
    ("engine/poolwise/metrics/a.cpp", '"poolwise/report/report.hpp"', False),
    ("engine/poolwise/report/a.cpp", '"poolwise/metrics/metrics.hpp"', True),
    ("engine/poolwise/report/a.cpp", '"poolwise/loop/loop.hpp"', False),
    ("engine/poolwise/loop/a.cpp", '  # include  "poolwise/query/query.hpp"  // the whole line', True),
    ("engine/poolwise/loop/a.cpp", '"cli.hpp"', False),
    ("bindings/cli/a.cpp", '"poolwise/loop/loop.hpp"', True),
    ("bindings/cli/a.cpp", '"python.hpp"', False),
    ("bindings/cli/a.cpp", '"bench/bench.hpp"', False),
    ("bindings/python/a.cpp", '"poolwise/loop/loop.hpp"', True),
    ("bindings/python/a.cpp", '"cli.hpp"', False),
    ("tests/kernels/a.cpp", '"reference/reference.hpp"', True),
    ("tests/kernels/a.cpp", '"poolwise/loop/loop.hpp"', True),
    ("bench/kernels/a.cpp", '"poolwise/core/core.hpp"', True),
    ("bench/kernels/a.cpp", '"reference/reference.hpp"', False),
    ("kernels/poolwise/score/a.cpp", '"poolwise/score/detail/private.hpp"', True),
    ("kernels/poolwise/score/a.hpp", '"poolwise/score/detail/private.hpp"', False),
    ("kernels/poolwise/score/a.hpp", '"poolwise/core/private-inl.hpp"', False),
    ("kernels/poolwise/score/a-inl.hpp", '"poolwise/core/private-inl.hpp"', True),
    ("kernels/poolwise/score/detail/a.hpp", '"poolwise/score/detail/private.hpp"', True),
    ("kernels/poolwise/committee/a.cu", '"poolwise/score/detail/private.hpp"', True),
    ("kernels/poolwise/topk/a.cpp", '"poolwise/score/detail/private.hpp"', False),
    ("kernels/poolwise/topk/a.cpp", '"poolwise/score/private-inl.hpp"', False),
    ("kernels/poolwise/diverse/detail/a.hpp", '"poolwise/graph/detail/private.hpp"', False),
    ("engine/poolwise/learn/a.cpp", '"poolwise/core/detail/private.hpp"', True),
    ("engine/poolwise/learn/a.cpp", '"poolwise/files/detail/private.hpp"', False),
    ("engine/poolwise/reproduce/a.cpp", '"poolwise/files/detail/private.hpp"', True),
    ("bindings/cli/a.cpp", '"poolwise/files/detail/private.hpp"', False),
    ("tests/kernels/a.cpp", '"poolwise/score/detail/private.hpp"', True),
    ("bench/kernels/a.cpp", '"poolwise/core/detail/private.hpp"', True),
]


def planted_is_caught(source, include, right):
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        names = [lambda folder: folder.split("/")[-1] + ".hpp", lambda _: "detail/private.hpp", lambda _: "private-inl.hpp"]
        headers = [f"{folder}/{name(folder)}" for folder in ALLOWED if folder != "tests" for name in names]
        for header in [*headers, "tests/reference/reference.hpp"]:
            (root / header).parent.mkdir(parents=True, exist_ok=True)
            (root / header).write_text("#pragma once\n")
        (root / source).parent.mkdir(parents=True, exist_ok=True)
        line = include if "include" in include else f"#include {include}"
        (root / source).write_text(f"// a planted line\n{line}\n")
        return bool(complaints(root)[1]) != right


def self_test():
    wrong = [planted for planted in PLANTED if not planted_is_caught(*planted)]
    for source, include, right in wrong:
        print(f"{source} with {include}: {'refused, but right' if right else 'not caught'}")
    print(f"{len(PLANTED)} planted lines, {len(wrong)} judged wrongly")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    files, found = complaints(pathlib.Path(__file__).resolve().parents[2])
    print(*found, f"{len(files)} files, {len(found)} wrong includes", sep="\n")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
