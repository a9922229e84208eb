"""The tables of limits that the gates hold kernels to, and the verdict on them."""
import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib

NOT_RUN = 77  # by which CTest reports a test as not run


def not_run(why):
    print(f"not run: {why}")
    sys.exit(NOT_RUN)


def readable(mangled):
    """The kernels' names without namespaces, parameters and return types: canonical_rows_kernel<product, same_row>."""
    demangle = shutil.which("c++filt")
    if not demangle:
        not_run("c++filt, which names kernels, is not on the path")
    lines = subprocess.run([demangle], input="\n".join(mangled), capture_output=True, text=True, check=True).stdout
    return dict(zip(mangled, map(short_name, lines.splitlines())))


def short_name(demangled):
    name = re.sub(r"\(anonymous namespace\)::|\bpoolwise::(detail::)?|^void ", "", demangled)
    depth = 0
    for at, char in enumerate(name):  # up to the parenthesis that opens the parameters
        depth += (char == "<") - (char == ">")
        if char == "(" and depth == 0:
            return name[:at]
    return name


class Table:
    """What limits.toml says. Every kernel must have an entry."""

    def __init__(self, path):
        with open(path, "rb") as file:
            content = tomllib.load(file)
        self.defaults = content["default"]
        self.entries = content["kernel"]
        self.path = path
        self.used = set()
        self.failures = []

    def limits_of(self, name, chip=None):
        """The limits of a kernel: the first entry that matches over the defaults; a table by chip is looked up."""
        for at, entry in enumerate(self.entries):
            if not fnmatch.fnmatchcase(name, entry["name"]):
                continue
            self.used.add(at)
            limits = self.defaults | entry
            return {key: value.get(chip) if isinstance(value, dict) else value for key, value in limits.items()}
        self.fail(name, f"has no limits; give it an entry in {self.path}")
        return None

    def fail(self, subject, what):
        self.failures.append(f"FAILED {subject}: {what}")

    def at_most(self, subject, what, value, limit):
        if limit is not None and value > limit:
            self.fail(subject, f"{value:.4g} {what}, the limit is {limit:g}")

    def at_least(self, subject, what, value, limit):
        if limit is not None and value < limit:
            self.fail(subject, f"{value:.4g} {what}, the least allowed is {limit:g}")

    def require_all_used(self):
        for at, entry in enumerate(self.entries):
            if at not in self.used:
                self.fail(entry["name"], f"no kernel has this name; take the entry out of {self.path}")

    def verdict(self, checked):
        for failure in self.failures:
            print(failure)
        print(f"{checked} kernels checked, {len(self.failures)} limits broken")
        return 1 if self.failures else 0
