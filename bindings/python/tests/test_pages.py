"""The examples of docs/*.md on the Python packages run as they stand there."""

import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page, needed", [("scikit_learn", "sklearn"), ("pytorch", "torch"), ("coming_from", "numpy")])
def test_the_examples_of_a_page_run(page, needed, tmp_path, monkeypatch):
    pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), {})
