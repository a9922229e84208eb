#!/usr/bin/env python3
"""Checks an exported ledger, and proofs about it, without a line of Poolwise.

    verify_ledger.py events.jsonl                                  prints its head, SIZE:HEX
    verify_ledger.py events.jsonl --head 1200:9f3c...              a head that was kept: the export must begin with that log
    verify_ledger.py --inclusion proof.json                        one event is in the log of the proof's head
    verify_ledger.py --consistency proof.json --head 1200:9f3c...  the log of the proof's newer head begins with that of --head

Options go together. Exit code 0: all holds; 1: a sentence says what does not; 2: the command line is wrong.

The hashes are those of RFC 9162, section 2.1: a leaf is SHA-256(0x00 || line), without its line feed, a node
SHA-256(0x01 || left || right).
"""
import argparse
import hashlib
import json
import re
import sys

EMPTY = hashlib.sha256(b"").digest()
LINE = re.compile(rb'\{"n":(\d+),"at":(\d+),"kind":"[a-z0-9_]+","body":\{.*\}\}')


class Broken(Exception):
    pass


def require(holds, sentence):
    if not holds:
        raise Broken(sentence)


def leaf(line):
    return hashlib.sha256(b"\x00" + line).digest()


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def parse_head(text):
    match = re.fullmatch(r"(\d+):([0-9a-f]{64})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no head; pass SIZE:HEX")
    return int(match[1]), bytes.fromhex(match[2])


def head_text(head):
    return f"{head[0]}:{head[1].hex()}"


class Tree:
    """The roots of the complete subtrees, the largest first."""

    def __init__(self):
        self.size, self.roots = 0, []

    def add(self, line):
        root, position = leaf(line), self.size
        while position & 1:
            root, position = node(self.roots.pop(), root), position >> 1
        self.roots.append(root)
        self.size += 1

    def head(self):
        if not self.roots:
            return 0, EMPTY
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node(left, root)
        return self.size, root


def root_by_inclusion(line, index, size, path):
    """RFC 9162, 2.1.3.2."""
    require(0 <= index < size, f"there is no event {index} in a log of {size}")
    fn, sn, root = index, size - 1, leaf(line)
    for sibling in path:
        require(sn > 0, "the path is too long")
        if fn & 1 or fn == sn:
            root = node(sibling, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0, "the path is too short")
    return root


def check_consistency(older, newer, path):
    """RFC 9162, 2.1.4.2."""
    (first, first_root), (second, second_root) = older, newer
    require(first <= second, "the older head has more events than the newer one")
    if first == second or first == 0:
        require(not path, "the path is too long")
        require(first_root == (second_root if first == second else EMPTY), "the heads are of different logs")
        return
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    require(steps, "the path is too short")
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = steps[0]
    for sibling in steps[1:]:
        require(sn > 0, "the path is too long")
        if fn & 1 or fn == sn:
            old, new = node(sibling, old), node(sibling, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node(new, sibling)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0, "the path is too short")
    require(old == first_root, "the path does not lead to the older head")
    require(new == second_root, "the path does not lead to the newer head")


def read_proof(file):
    with open(file, encoding="utf-8") as text:
        proof = json.load(text)
    proof["path"] = [bytes.fromhex(one) for one in proof["path"]]
    for key in ("head", "from", "to"):
        if key in proof:
            proof[key] = parse_head(proof[key])
    return proof


def check_events(file, heads, lines):
    """The export against heads that it must go through, and against lines by number."""
    tree, last_at, roots = Tree(), 0, {0: EMPTY}
    wanted = {size for size, _ in heads}
    with open(file, "rb") as events:
        for number, line in enumerate(events):
            require(line.endswith(b"\n"), f"event {number} is cut short")
            line = line[:-1]
            match = LINE.fullmatch(line)
            require(match, f"line {number + 1} is no event")
            require(int(match[1]) == number, f"line {number + 1} is event {int(match[1])}, and event {number} is missing")
            require(int(match[2]) >= last_at, f"event {number} is older than the one before it")
            require(lines.get(number, line) == line, f"event {number} is not the one of the proof")
            last_at = int(match[2])
            tree.add(line)
            if tree.size in wanted:
                roots[tree.size] = tree.head()[1]
    for size, root in heads:
        require(size <= tree.size, f"the export has {tree.size} events, and a head is of {size}: it was cut short")
        require(roots[size] == root, f"the first {size} events are not those of the head {head_text((size, root))}")
    return tree.head()


def check(options):
    heads = [options.head] if options.head else []
    lines = {}
    if options.consistency:
        proof = read_proof(options.consistency)
        ends = [proof["from"], proof["to"]]
        check_consistency(*ends, proof["path"])
        require(options.events or not heads or heads[0] in ends, "the proof is about other heads")
        heads += ends
        print(f"the log {head_text(ends[1])} begins with {head_text(ends[0])}")
    if options.inclusion:
        proof = read_proof(options.inclusion)
        number, line, (size, root) = proof["leaf"], proof["line"].encode(), proof["head"]
        require(root_by_inclusion(line, number, size, proof["path"]) == root, "the path does not lead to the head")
        require(options.events or not heads or (size, root) in heads, "the proof is about another head")
        heads.append((size, root))
        lines[number] = line
        print(f"event {number} is in the log {head_text((size, root))}")
    if options.events:
        print(head_text(check_events(options.events, heads, lines)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="?", help="the events, as `poolwise campaign export` writes them")
    parser.add_argument("--head", type=parse_head, help="SIZE:HEX")
    parser.add_argument("--inclusion", metavar="JSON")
    parser.add_argument("--consistency", metavar="JSON")
    options = parser.parse_args()
    if not (options.events or options.inclusion or options.consistency):
        parser.error("pass an export, or a proof")
    try:
        check(options)
    except (Broken, OSError, ValueError, KeyError, argparse.ArgumentTypeError) as problem:
        print(f"verify_ledger: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
