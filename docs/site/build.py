"""Builds the documentation site: the pages of docs/, and those that are made of the tables, by running the command.

    build.py FOLDER COMMAND MODULES      FOLDER/site is the site; MODULES is a folder that holds the package `poolwise`

Needs mkdocs-material, matplotlib and numpy (cmake/requirements-docs.txt).
"""

import csv
import html
import inspect
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
DOCS, TREE = HERE.parent, HERE.parent.parent
PICKS = 8


def output_of(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


# ---- A pool in the plane, with all that a strategy may need


def make_toy(folder):
    """Three classes in five clusters, some rows between them and a few far out; 12 rows are labelled."""
    rng = np.random.default_rng(4)
    centres = np.array([[-3, 0], [-1.5, 2.5], [2, 2], [3, -1.5], [-0.5, -2.5]])
    near = rng.integers(5, size=380)
    points = np.concatenate([centres[near] + rng.normal(size=(380, 2)) * [0.6, 0.5], rng.uniform(-5, 5, size=(20, 2))])
    classes = np.array([0, 0, 1, 2, 2])
    weights = np.stack([centres[classes == c].mean(0) for c in range(3)])

    def logits(w, bias):
        return (points @ w.T + bias).astype(np.float32)

    bias = -0.5 * (weights**2).sum(1)
    members = [logits(weights + rng.normal(size=(3, 2)) * 0.35, bias + rng.normal(size=3) * 0.5) for _ in range(6)]
    values = np.stack([np.sin(points[:, 0] + rng.normal() * 0.3) + points[:, 1] * (0.3 + rng.normal() * 0.1) for _ in range(6)])
    arrays = {"logits": logits(weights, bias), "embeddings": points.astype(np.float32), "committee": np.stack(members),
              "predictions": values.astype(np.float32)[:, :, None], "queries": np.array([[2.5, 0.5], [3, 0]], np.float32),
              "private": np.array([[0, 0]], np.float32), "labelled": rng.choice(380, 12, replace=False)}
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return arrays


def options_for(needs, folder):
    named = {"outputs": "logits", "logits": "logits", "committee": "committee", "embeddings": "embeddings",
             "predictions": "predictions", "queries": "queries", "private": "private", "score": "logits"}
    return [word for need, part in named.items() if need in needs for word in (f"--{part}", folder / f"{part}.npy")]


def picks_of(command, entry, example, folder):
    given = dict(zip(*[iter(options_for(entry["needs"], folder))] * 2))
    given.setdefault("--logits", folder / "logits.npy")  # says how many rows there are
    if "--committee" in given or "--predictions" in given:
        given.pop("--logits")
    told = output_of(command, "select", *[word for option in given.items() for word in option], "--labelled",
                     folder / "labelled.npy", "--strategy", example, "--batch", str(PICKS), "--seed", "1")
    return [int(pick["row"]) for pick in csv.DictReader(told.splitlines())]


def draw(toy, picks, title, needs, file):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    plt.rcParams["svg.hashsalt"] = "poolwise"
    figure, axes = plt.subplots(figsize=(5.2, 4.2), layout="constrained")
    points, seen = toy["embeddings"], toy["logits"].argmax(1)
    for group, colour in enumerate(["#9db4d6", "#e3b79b", "#a9cfa6"]):
        axes.scatter(*points[seen == group].T, s=10, color=colour, linewidths=0)
    axes.scatter(*points[toy["labelled"]].T, s=34, marker="s", facecolors="none", edgecolors="#555555", label="labelled")
    for part, marker, label in ("queries", "x", "to be like"), ("private", "P", "to be unlike"):
        if part in needs:
            axes.scatter(*toy[part].T, s=60, marker=marker, color="#7a2d8f", label=label)
    axes.scatter(*points[picks].T, s=70, color="#c1121f", zorder=3, label="picked")
    for rank, row in enumerate(picks, 1):
        axes.annotate(rank, points[row], color="white", fontsize=6, ha="center", va="center", zorder=4)
    axes.set(xticks=[], yticks=[], title=title, aspect="equal")
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=4)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


# ---- Pages that are made


def cell(text):
    return html.escape(str(text), quote=False).replace("|", "\\|")


def code_cell(text):
    return "`" + text.replace("|", "\\|") + "`"


def seen_page(example, picture):
    return f"""
## What it picks

![{PICKS} picks of {html.escape(example)} in the plane]({picture})

`poolwise select --strategy "{example}" --batch {PICKS}`, on three classes in the plane: the picks by their order, and squares for
rows that have a label.
"""


def strategy_page(entry, example, words, picture):
    said = words.get(entry["name"], {})
    rows = "".join(f"| `{p['name']}` | {p['standard']:.12g} | {cell(p['meaning'])} |\n" for p in entry["parameters"])
    parameters = f"\n## Parameters\n\n| name | standard | meaning |\n|---|---|---|\n{rows}" if rows else ""
    return f"""# {entry['name']}

`{entry['formula']}`, larger = sooner

{said.get('use', '')}

| | |
|---|---|
| kind | {entry['kind']} |
| needs | {cell(entry['needs'])} |
| cost | {cell(said.get('cost', '`poolwise plan` says'))} |
| on GPUs | {entry['on_devices']} |
| paper | {cell(entry['source'])} |
{parameters}{seen_page(example, picture) if picture else ''}"""


def strategies(pages, command, folder):
    toy, words = make_toy(folder), tomllib.loads((HERE / "strategies.toml").read_text())
    entries = json.loads(output_of(command, "strategies", "--json"))["strategies"]
    examples = dict(zip((e["name"] for e in entries), re.findall(r"^\| `(.+?)` \|", output_of(command, "strategies", "--markdown"), re.M)))
    (pages / "strategies").mkdir()
    listing = "# Strategies\n\n[How to choose](../choosing.md). Each page says when, at what cost, and shows what is picked.\n"
    for kind in dict.fromkeys(e["kind"] for e in entries):
        listing += f"\n## {kind.capitalize()}\n\n| strategy | formula | when |\n|---|---|---|\n"
        for entry in (e for e in entries if e["kind"] == kind):
            name, example = entry["name"], examples[entry["name"]]
            picture = f"{name}.svg"
            try:
                draw(toy, picks_of(command, entry, example, folder), example, entry["needs"], pages / "strategies" / picture)
            except subprocess.CalledProcessError as refused:
                print(f"docs: no picture of {name}: {refused.stderr.strip()}")
                picture = None
            (pages / "strategies" / f"{name}.md").write_text(strategy_page(entry, example, words, picture))
            listing += f"| [{name}]({name}.md) | {code_cell(entry['formula'])} | {cell(words.get(name, {}).get('use', ''))} |\n"
    (pages / "strategies" / "index.md").write_text(listing)
    silent = sorted({e["name"] for e in entries} - set(words))
    if silent:
        print(f"docs: {HERE / 'strategies.toml'} does not say when to use {', '.join(silent)}")
    return [e["name"] for e in entries]


def documented(name, thing):
    """A class with its members, or a function, as its docstring has it."""
    text = f"## {name}\n\n```text\n{inspect.getdoc(thing) or ''}\n```\n"
    members = [(n, m) for n, m in vars(thing).items() if not n.startswith("_")] if inspect.isclass(thing) else []
    if members and not issubclass(thing, BaseException):
        text += "\n| member | |\n|---|---|\n"
        text += "".join(f"| `{n}` | {cell(' '.join((inspect.getdoc(m) or '').split()))} |\n" for n, m in members)
    return text


def python_page(modules):
    sys.path.insert(0, str(modules))
    import poolwise
    parts = [documented(name, getattr(poolwise, name)) for name in poolwise.__all__ if not name.startswith("__")]
    return f"# Python\n\n```text\n{inspect.getdoc(poolwise)}\n```\n\n" + "\n".join(parts)


def help_pages(command, *words):
    """The help of a command, and of those under it, which it lists by their names and aliases."""
    text = output_of(command, *words, "--help")
    pages = f"{'#' * min(len(words) + 1, 4)} {' '.join(['poolwise', *words])}\n\n```text\n{text}```\n\n"
    under = text.partition("Subcommands:")[2].partition("\n\n")[0]
    return pages + "".join(help_pages(command, *words, name) for name in re.findall(r"^  ([a-z]+)", under, re.M))


def reference(pages, command, modules):
    (pages / "reference").mkdir()
    (pages / "reference" / "python.md").write_text(python_page(modules))
    (pages / "reference" / "command.md").write_text(help_pages(command))
    header = (TREE / "bindings/c/poolwise.h").read_text()
    (pages / "reference" / "c.md").write_text(
        f"# C\n\nA program in C99 and the same by `ctypes` stand in `examples/c`. This is the whole header.\n\n```c\n{header}```\n")


# ---- The site


def settings(pages, names):
    nav = [{"Home": "index.md"}, {"Tutorial": "tutorial.md"}, {"How to choose": "choosing.md"},
           {"How to": ["pytorch.md", "scikit_learn.md", "coming_from.md", *(f"howto/{p.name}" for p in sorted((pages / "howto").glob("*.md")))]},
           {"Strategies": ["strategies/index.md", *(f"strategies/{name}.md" for name in names)]},
           {"How it works": "algorithms.md"}, {"What is the same": "determinism.md"},
           {"Over many ranks": "cluster.md"},
           {"Reference": ["reference/python.md", "reference/command.md", "reference/c.md"]}]
    placed = re.findall(r"[\w/.-]+\.md", json.dumps(nav))
    nav += [str(p.relative_to(pages)) for p in sorted(pages.rglob("*.md")) if str(p.relative_to(pages)) not in placed]
    return {"site_name": "Poolwise", "docs_dir": "pages", "site_dir": "site", "strict": True, "nav": nav,
            "theme": {"name": "material", "font": False, "features": ["navigation.indexes", "content.code.copy"]},
            "validation": {"links": {"not_found": "warn", "anchors": "warn", "unrecognized_links": "warn"},
                           "omitted_files": "warn"},
            "markdown_extensions": ["tables", "fenced_code", {"toc": {"permalink": True}}, "pymdownx.highlight", "pymdownx.superfences"]}


def copy_pages(pages):
    for page in DOCS.rglob("*"):
        if page.suffix in (".md", ".png", ".svg") and HERE not in page.parents:
            (pages / page.relative_to(DOCS)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(page, pages / page.relative_to(DOCS))


def main():
    folder, command, modules = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    for part in ("pages", "site", "toy"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for part in ("pages", "toy"):
        (folder / part).mkdir(parents=True)
    copy_pages(folder / "pages")
    names = strategies(folder / "pages", command, folder / "toy")
    reference(folder / "pages", command, modules)
    (folder / "mkdocs.yml").write_text(json.dumps(settings(folder / "pages", names), indent=1))  # JSON is YAML
    # Not --quiet, by which mkdocs would not count warnings.
    built = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", folder / "mkdocs.yml"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"docs: {folder / 'site' / 'index.html'}" if built.returncode == 0 else built.stdout)
    return built.returncode


if __name__ == "__main__":
    sys.exit(main())
