"""Every cell of tests/conformance/peers.py: what another library does under the same name, beside Poolwise; and the
shims of poolwise.compat beside what the library does. The libraries themselves are asked by `make test-peers`."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import poolwise

CONFORMANCE = pathlib.Path(__file__).parents[3] / "tests" / "conformance"
spec = importlib.util.spec_from_file_location("peers", CONFORMANCE / "peers.py")
peers = importlib.util.module_from_spec(spec)
sys.modules["peers"] = peers
spec.loader.exec_module(peers)


def ours(cell, batch):
    inputs = {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in cell.inputs.items()}
    return poolwise.select(strategy=cell.ours, batch=batch, **inputs).rows.tolist()


def theirs(cell):
    """Their picks, and as many of ours."""
    values = np.asarray(cell.theirs())
    if cell.batch:
        return values.tolist()
    barred = cell.inputs.get("labelled", np.empty(0, int))
    order = np.argsort(-cell.sign * values.round(9), kind="stable")
    return [row for row in order.tolist() if row not in barred][: peers.BATCH]


@pytest.mark.parametrize("cell", peers.CELLS, ids=lambda cell: cell.name)
def test_a_cell_agrees_as_it_says(cell):
    wanted = theirs(cell)
    picks = ours(cell, len(wanted))
    if cell.agreement == "same":
        assert np.abs(cell.theirs() - cell.own()).max() <= 1e-6
    assert (picks == wanted) == (cell.agreement != "other picks")
    assert cell.reason or cell.agreement == "same"


@pytest.mark.parametrize("cell", [cell for cell in peers.CELLS if cell.shim], ids=lambda cell: cell.name)
def test_a_shim_gives_what_the_library_does(cell):
    assert peers.differs(cell, cell.shim(), cell.theirs()) == ""


def test_the_page_is_what_the_table_says():
    subprocess.run([sys.executable, CONFORMANCE / "peers.py", "--check"], check=True)


def test_a_cell_that_lies_is_noticed():
    cell = next(cell for cell in peers.CELLS if cell.batch)
    assert peers.differs(cell, cell.theirs()[::-1], cell.theirs()).startswith("picks")
    cell = next(cell for cell in peers.CELLS if not cell.batch)
    assert peers.differs(cell, np.asarray(cell.theirs()) + 1e-5, cell.theirs()).startswith("values")
