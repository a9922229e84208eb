"""Holds the machine code of every kernel to a table of limits.

    sass.py --limits limits.toml --chip sm_90 --cuobjdump cuobjdump --occupancy gate_occupancy [--csv out.csv] FILE...

Registers, local memory and occupancy of each kernel; of its hot loop the instructions, the MUFU operations and the
loads. The hot loop is the innermost one that holds the instruction which the table names. All of its instructions
count, also those of branches that are seldom taken; the bodies of called subroutines do not.
"""
import argparse
import collections
import csv
import re
import subprocess
import sys

from limits import Table, not_run, readable

INSTRUCTION = re.compile(r"^\s+/\*([0-9a-f]+)\*/\s+(@!?\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
RESOURCES = re.compile(r"REG:(\d+) STACK:\d+ SHARED:(\d+)")
Instruction = collections.namedtuple("Instruction", "address guarded opcode operands")


class Kernel:
    def __init__(self):
        self.registers = self.shared = 0
        self.code = []


def read_kernels(listing, chip):
    """The kernels in cuobjdump's listing that are compiled for one chip, by mangled name."""
    kernels, arch, name = collections.defaultdict(Kernel), None, None
    for line in listing:
        if line.startswith("arch = "):
            arch = line.split()[2]
        elif arch != chip:
            continue
        elif found := re.match(r"\s*Function ?:? (\S+?):?$", line.rstrip()):
            name = found[1]
        elif found := RESOURCES.search(line):
            kernels[name].registers, kernels[name].shared = map(int, found.groups())
        elif found := INSTRUCTION.match(line):
            kernels[name].code.append(Instruction(int(found[1], 16), bool(found[2]), found[3], found[4]))
    kernels = {name: kernel for name, kernel in kernels.items() if kernel.code}
    for kernel in kernels.values():
        if chip >= "sm_90" or len(chip) > 5:  # what the system keeps of each block's shared memory is in the figure
            kernel.shared = max(0, kernel.shared - 1024)
    return kernels


def target_of(instruction):
    found = re.findall(r"0x([0-9a-f]+)", instruction.operands)
    return int(found[-1], 16) if found else None


def control_flow(code):
    """The instructions that may follow each, as places in `code`."""
    place = {instruction.address: at for at, instruction in enumerate(code)}
    rejoin = collections.defaultdict(set)  # where the threads that wait at a convergence barrier go on
    for i in code:
        if i.opcode.startswith("BSSY"):
            rejoin[i.operands.split(",")[0]].add(place[target_of(i)])
    following = []
    for at, i in enumerate(code):
        op, after = i.opcode.split(".")[0], set()
        falls_through = at + 1 < len(code) and (i.guarded or op not in ("EXIT", "RET", "BRA", "BRX", "BSYNC"))
        if op == "BRA" and not i.opcode.startswith("BRA.DIV"):  # .DIV: a detour for threads that have diverged
            after.add(place[target_of(i)])
            falls_through |= bool(re.match(r"!?U?P\d", i.operands))
        elif i.opcode.startswith("BRA.DIV"):
            falls_through = True
        elif op == "BSYNC":
            waiting = rejoin[i.operands.strip()]
            after |= {at + 1} if at + 1 in waiting else waiting
        if falls_through:
            after.add(at + 1)
        following.append(after)
    return following


def natural_loops(code):
    """The loops, each the set of places in `code` from which its jump back is reached without leaving."""
    following, before = control_flow(code), collections.defaultdict(set)
    for at, after in enumerate(following):
        for place in after:
            before[place].add(at)
    loops = collections.defaultdict(set)
    for back, after in enumerate(following):
        for head in after:
            if head > back:
                continue
            body, ahead = {head, back}, [back] if back != head else []
            while ahead:
                for place in before[ahead.pop()] - body:
                    body.add(place)
                    ahead.append(place)
            if head == 0 or 0 not in body:  # else it is a jump back to where the code had been without it
                loops[head] |= body
    return list(loops.values())


def width(opcode):
    """Bytes that a load brings each thread."""
    if found := re.search(r"\.M88(?:\.([24]))?", opcode):
        return 4 * int(found[1] or 1)
    if found := re.search(r"\.(256|128|64)\b", opcode):
        return int(found[1]) // 8
    if found := re.search(r"\.[US](16|8)\b", opcode):
        return int(found[1]) // 8
    return 4


def hot_loop(code, holds):
    """The innermost loop with the most instructions that match `holds`; None if none has any."""
    def hits(loop):
        return sum(bool(re.match(holds, code[at].opcode)) for at in loop)

    loops = [loop for loop in natural_loops(code) if hits(loop)]
    innermost = [loop for loop in loops if not any(other < loop for other in loops)]
    return max(innermost, key=lambda loop: (hits(loop), len(loop)), default=None)


def measure(kernel, limits):
    """What the gate compares with the limits, and the roofline model multiplies."""
    count = lambda pattern, code: sum(bool(re.match(pattern, i.opcode)) for i in code)
    found = {"registers": kernel.registers, "static_shared": kernel.shared, "local": count("STL|LDL", kernel.code)}
    if "hot" not in limits:
        return found
    loop = hot_loop(kernel.code, limits["hot"])
    if loop is None:
        return found
    body = [kernel.code[at] for at in sorted(loop) if kernel.code[at].opcode != "NOP"]
    per = [i for i in body if re.match(limits["per"], i.opcode)]
    elements = sum(width(i.opcode) for i in per) / limits["bytes"] if "bytes" in limits else len(per)
    if elements:
        found |= {"elements": elements, "instructions": len(body) / elements,
                  "mufu": count("MUFU", body) / elements,
                  "hot_local": count("STL|LDL", body), "tensor": count("HMMA|UTCHMMA|HGMMA", body)}
    return found


def occupancies(program, chip, questions):
    """The share of a multiprocessor's threads that fit: cuda_occupancy.h for each (threads, registers, shared)."""
    lines = "".join(f"{chip[3:]} {threads} {registers} {static} {dynamic}\n"
                    for threads, registers, static, dynamic in questions)
    answer = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout
    return [float(line) for line in answer.splitlines()]


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--limits", required=True)
    parse.add_argument("--chip", required=True)
    parse.add_argument("--cuobjdump", required=True)
    parse.add_argument("--occupancy", required=True, help="the program made of occupancy.cpp")
    parse.add_argument("--csv", help="where to write what was measured")
    parse.add_argument("files", nargs="*", help="objects or libraries with machine code")
    arguments = parse.parse_args()
    if not arguments.files:
        not_run("this build has no CUDA kernels")

    try:
        listing = subprocess.run([arguments.cuobjdump, "-arch", arguments.chip, "-sass", "-res-usage",
                                  *arguments.files], stdout=subprocess.PIPE, text=True, check=True).stdout
    except FileNotFoundError:
        not_run("there is no cuobjdump; cmake/setup.sh installs it")
    kernels = read_kernels(listing.splitlines(), arguments.chip)
    if not kernels:
        not_run(f"this build has no machine code for {arguments.chip}; see CMAKE_CUDA_ARCHITECTURES")
    table = Table(arguments.limits)
    names = readable(list(kernels))

    rows = []
    for mangled, kernel in sorted(kernels.items(), key=lambda item: names[item[0]]):
        limits = table.limits_of(names[mangled], arguments.chip)
        if limits is not None:
            rows.append((names[mangled], limits, measure(kernel, limits)))
    shares = occupancies(arguments.occupancy, arguments.chip, [
        (limits["threads"], found["registers"], found["static_shared"], limits["dynamic_shared"])
        for _, limits, found in rows])
    for (name, limits, found), share in zip(rows, shares):
        found["occupancy"] = share
        subject = f"{arguments.chip} {name}"
        print(subject, *(f"{key} {value:.4g}" for key, value in found.items()), sep="  ")
        table.at_most(subject, "local-memory instructions (spills)", found["local"], limits["local"])
        table.at_most(subject, "registers", found["registers"], limits["registers"])
        table.at_least(subject, "occupancy", share, limits["occupancy"])
        if "hot" not in limits:
            continue
        if "elements" not in found:
            table.fail(subject, f"no loop holds {limits['hot']}")
            continue
        table.at_most(subject, "instructions an element", found["instructions"], limits["instructions"])
        table.at_most(subject, "MUFU an element", found["mufu"], limits["mufu"])
        table.at_most(subject, "local-memory instructions (spills) in the hot loop", found["hot_local"], 0)
        table.at_least(subject, "tensor-core instructions", found["tensor"], limits["tensor"])

    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["chip", "kernel", "registers", "occupancy", "instructions", "mufu"])
            for name, _, found in rows:
                out.writerow([arguments.chip, name, found["registers"], found["occupancy"],
                              found.get("instructions", ""), found.get("mufu", "")])
    table.require_all_used()
    return table.verdict(len(rows))


if __name__ == "__main__":
    sys.exit(main())
