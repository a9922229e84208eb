"""Fails on a link of README.md, CONTRIBUTING.md or docs/ that leads nowhere, and where no word says when to use a strategy.

    links.py COMMAND [--self-test]

Pages that the site makes of tables (docs/site/build.py) count as there.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

TREE = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
MADE = re.compile(r"docs/(strategies/(\w+)\.md|reference/(python|command|c)\.md)")


def anchors(text):
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def complaints(page, text, strategies):
    for target in LINK.findall(re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)):
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        made = MADE.fullmatch(str(place.relative_to(TREE)) if place.is_relative_to(TREE) else "")
        if made and (made[2] is None or made[2] in {"index", *strategies}):
            continue
        if not place.exists():
            yield f"{page.relative_to(TREE)} has a link to {target}, which is not there"
        elif anchor and anchor not in anchors(place.read_text(encoding="utf-8")):
            yield f"{page.relative_to(TREE)} has a link to {target}, which has no such heading"


def self_test(strategies):
    page = TREE / "docs" / "index.md"
    planted = {"[a](tutorial.md)": 0, "[a](tutorial.md#a-round)": 0, "[a](strategies/margin.md)": 0, "[a](https://a.org/b)": 0,
               "[a](strategies/mergin.md)": 1, "[a](nowhere.md)": 1, "[a](tutorial.md#no-such)": 1, "[a](../LICENSE) [b](x)": 1}
    wrong = [text for text, count in planted.items() if len(list(complaints(page, text, strategies))) != count]
    print(*wrong, f"{len(planted)} planted links, {len(wrong)} judged wrongly", sep="\n")
    return 1 if wrong else 0


def main():
    listed = subprocess.run([sys.argv[1], "strategies", "--json"], check=True, capture_output=True, text=True).stdout
    strategies = {entry["name"] for entry in json.loads(listed)["strategies"]}
    if sys.argv[2:] == ["--self-test"]:
        return self_test(strategies)
    pages = [TREE / "README.md", TREE / "CONTRIBUTING.md", *sorted((TREE / "docs").rglob("*.md"))]
    wrong = [text for page in pages for text in complaints(page, page.read_text(encoding="utf-8"), strategies)]
    said = set(tomllib.loads((TREE / "docs/site/strategies.toml").read_text(encoding="utf-8")))
    wrong += [f"docs/site/strategies.toml does not say when to use {name}" for name in sorted(strategies - said)]
    print(*wrong, f"{len(pages)} pages, {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
