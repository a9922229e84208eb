"""One batch over many ranks: threads that carry bytes, mpirun, Dask. All cells of the table: tests/clusters/table.py."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import poolwise
import poolwise.distributed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests/clusters"))
import cells  # noqa: E402

COMMAND = os.environ.get("TEST_COMMAND")
POOL = cells.pool()


def one_process(asked):
    strategy, parts = cells.arguments(asked, POOL)
    return cells.picks(poolwise.select(strategy, **parts))


def on_rank(asked, shards, end, **more):
    strategy, parts = cells.arguments(asked, POOL)
    numbers = shards[end.rank]
    return poolwise.distributed.select(strategy, ranks=end, numbers=numbers, threads=1, **cells.rows_of(parts, numbers), **more)


@pytest.mark.parametrize("asked", cells.ASKED)
def test_threads_pick_what_one_process_does(asked):
    expected = one_process(asked)
    for ranks, how, shuffled in (1, "equal", False), (3, "one empty", True), (4, "ragged", False):
        shards = cells.partition(ranks, how, shuffled)
        answers = cells.over_threads(ranks, lambda end: on_rank(asked, shards, end))  # noqa: B023
        assert [cells.picks(batch) for batch in answers] == [expected] * ranks, (ranks, how, shuffled)


def test_rows_are_numbered_rank_after_rank():
    shards = cells.partition(3, "ragged", False)
    asked = "k-center"
    strategy, parts = cells.arguments(asked, POOL)
    answers = cells.over_threads(3, lambda end: poolwise.distributed.select(strategy, ranks=end, **cells.rows_of(parts, shards[end.rank])))
    assert [cells.picks(batch) for batch in answers] == [one_process(asked)] * 3


def sentences(answers):
    assert all(isinstance(answer, poolwise.ClusterError) for answer in answers), answers
    return {str(answer) for answer in answers}


def test_a_rank_that_fails_ends_all_with_its_sentence():
    shards = cells.partition(3, "equal", False)
    spoiled = dict(POOL, embeddings=POOL["embeddings"].copy())
    spoiled["embeddings"][shards[1][4]] = np.nan

    def body(end, change):
        strategy, parts = cells.arguments("k-center", spoiled if change == "nan" else POOL)
        mine = {**cells.rows_of(parts, shards[end.rank]), **({"seed": end.rank} if change == "seed" else {})}
        if change == "columns" and end.rank == 2:
            mine["embeddings"] = mine["embeddings"][:, :5]
        if change == "array" and end.rank == 1:
            mine["embeddings"] = mine["embeddings"].astype(np.float64)
        numbers = np.zeros(len(shards[end.rank]), int) if change == "numbers" else shards[end.rank]
        return poolwise.distributed.select(strategy, ranks=end, numbers=numbers, deadline=20, **mine)

    for change, words in {"nan": f"row {shards[1][4]}", "seed": "seed", "columns": "5", "array": "rank 1: select: embeddings", "numbers": "is on the ranks"}.items():
        one, = sentences(cells.over_threads(3, lambda end: body(end, change)))  # noqa: B023
        assert words in one and "\n" not in one, (change, one)


def test_a_rank_that_is_silent_ends_all():
    shards = cells.partition(3, "equal", False)
    exchanges = len(rounds_of("k-center", shards))
    for silent_from in range(exchanges):
        def fault(rank, exchange):
            if rank == 1 and exchange == silent_from:  # noqa: B023
                raise SystemExit  # its thread answers no more

        began = time.monotonic()
        answers = cells.over_threads(3, lambda end: on_rank("k-center", shards, end, deadline=0.3), fault)
        assert time.monotonic() - began < 10
        assert all("not" in one for one in sentences([answers[0], answers[2]])), (silent_from, answers)


def rounds_of(asked, shards):
    """The exchanges of rank 0."""
    seen = []
    cells.over_threads(len(shards), lambda end: on_rank(asked, shards, end), lambda rank, exchange: seen.append(exchange) if rank == 0 else None)
    return seen


def test_what_is_no_group_of_ranks_is_refused():
    with pytest.raises(poolwise.ArgumentError, match="ranks is of type int"):
        poolwise.distributed.select("kcenter", batch=3, embeddings=POOL["embeddings"], ranks=3)
    alone = poolwise.distributed.select("kcenter", batch=3, embeddings=POOL["embeddings"])
    assert list(alone.rows) == list(poolwise.select("kcenter", batch=3, embeddings=POOL["embeddings"]).rows)
    with pytest.raises(poolwise.ArgumentError, match="select: k is no argument; pass batch"):
        poolwise.distributed.select("kcenter", k=3, embeddings=POOL["embeddings"])


# ---- The command


MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
       "OMPI_MCA_mpi_yield_when_idle": "1", "OMP_NUM_THREADS": "1"}


def command(*words, ranks=0, folder):
    launch = ["mpirun", "-np", str(ranks)] if ranks else []
    return subprocess.run([*launch, COMMAND, "select", *words], cwd=folder, env={**os.environ, **MPI}, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for name in "embeddings", "outputs":
        np.save(folder / f"{name}.npy", POOL[name])
        for part, rows in enumerate(cells.partition(4, "one empty", False)):
            np.save(folder / f"{name}-{part}.npy", POOL[name][rows])
    np.save(folder / "labelled.npy", np.array([11, 200, 340]))
    np.save(folder / "far.npy", np.array([5000]))
    return folder


@pytest.mark.skipif(COMMAND is None, reason="TEST_COMMAND is not set")
def test_the_command_reads_shards(shards):
    asked = ["--labelled", "labelled.npy", "--strategy", "margin/10x/kcenter", "--batch", "9"]
    whole = command("--logits", "outputs.npy", "--embeddings", "embeddings.npy", *asked, folder=shards)
    parts = ["--shard", "embeddings-*.npy", "--logits", "outputs-*.npy", "--embeddings", "embeddings-*.npy", *asked]
    assert command(*parts, folder=shards).stdout == whole.stdout != ""
    for words, code, sentence in (
        (["--shard", "none-*.npy"], 6, "no file is called none-*.npy"), (["--shard", "embeddings.npy"], 2, "no pattern of shards"),
        (["--shard", "embeddings-*.npy", "--logits", "outputs.npy"], 2, "--logits names one file"),
        (["--shard", "embeddings-*.npy", "--exclude", "far.npy"], 6, "far.npy names row 5000, but the shards have 360 rows"),
    ):
        refused = command(*words, "--strategy", "kcenter", "--batch", "9", folder=shards)
        assert (refused.returncode, refused.stdout) == (code, "") and sentence in refused.stderr, (words, refused)
    for variables, by in ({"SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, "Slurm"), ({"RANK": "0", "WORLD_SIZE": "4"}, "torchrun"):
        refused = subprocess.run([COMMAND, "select", *parts], cwd=shards, env={**os.environ, **variables}, capture_output=True, text=True)
        assert refused.returncode == 2 and f"{by} started 4 ranks that MPI does not connect" in refused.stderr
    if shutil.which("mpirun") is None or not (pathlib.Path(COMMAND).parent / "libpoolwise_mpi.so").exists():
        pytest.skip("no MPI here")
    over_ranks = command(*parts, ranks=3, folder=shards)
    assert over_ranks.stdout == whole.stdout, over_ranks
    assert "3 ranks" in over_ranks.stderr


# ---- Dask


def test_dask_picks_what_one_process_does():
    da = pytest.importorskip("dask.array")
    distributed = pytest.importorskip("distributed")
    import poolwise.dask

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, distributed.Client(cluster) as client:
        for asked in "k-center", "top-k with quota", "BALD of a committee":
            strategy, parts = cells.arguments(asked, POOL)
            for name in "embeddings", "outputs", "committee":
                if name in parts:
                    axis = 1 if name == "committee" else 0
                    parts[name] = da.from_array(parts[name], chunks=tuple((100, 17, 43, 200) if at == axis else -1 for at in range(parts[name].ndim)))
            assert cells.picks(poolwise.dask.select(strategy, client=client, **parts)) == one_process(asked), asked
        with pytest.raises(poolwise.ShapeError, match="rows but another part has"):
            poolwise.dask.select("badge", POOL["embeddings"][:5], outputs=da.from_array(POOL["outputs"]), batch=3, client=client)
        with pytest.raises(poolwise.ArgumentError, match="no array of all rows"):
            poolwise.dask.select("kcenter", batch=3, client=client)
