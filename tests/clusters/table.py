"""One table of picks, equal in all cells: strategies x engines x ranks x partitions x orders; and ranks that are killed.

    table.py COMMAND [--out FILE]       with the package `poolwise` on PYTHONPATH; what is not here is reported as not run

Engines: threads of this process, the command under mpirun, mpi4py, Dask, torch.distributed by gloo, Ray, Spark. A cell is equal where
the picks, their order and their scores have the bits of one process over the whole pool.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

import cells
import poolwise

HERE = pathlib.Path(__file__).resolve()
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_mpi_yield_when_idle": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}"}
RANKS, HOW = (1, 2, 3, 4, 7), ("equal", "ragged", "one empty")
POOL = cells.pool()


def has(name):
    return importlib.util.find_spec(name) is not None


def partitions(ranks):
    for how in HOW if ranks > 1 else HOW[:1]:
        for shuffled in False, True:
            yield how, shuffled, cells.partition(ranks, how, shuffled)


def asked_of(asked, numbers, **more):
    strategy, parts = cells.arguments(asked, POOL)
    return strategy, {**cells.rows_of(parts, numbers), "numbers": numbers, "threads": 1, **more}


def select_on(end, asked, shards):
    import poolwise.distributed

    strategy, parts = asked_of(asked, shards[end.rank], deadline=60)
    return cells.picks(poolwise.distributed.select(strategy, ranks=end, **parts))


def by_threads(asked, ranks):
    for how, shuffled, shards in partitions(ranks):
        yield how, shuffled, cells.over_threads(ranks, lambda end: select_on(end, asked, shards))  # noqa: B023


def of_mpi4py():
    from mpi4py import MPI

    return MPI.COMM_WORLD, MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()


def of_gloo():
    import torch.distributed as dist

    dist.init_process_group("gloo")
    return dist.group.WORLD, dist.get_rank(), dist.get_world_size()


def serve(engine):
    """One of the ranks that a launcher started: all cells of this number of ranks. Rank 0 prints them."""
    import poolwise.distributed

    end, rank, ranks = {"mpi4py": of_mpi4py, "gloo": of_gloo}[engine]()
    for asked in cells.ASKED:
        for how, shuffled, shards in partitions(ranks):
            strategy, parts = asked_of(asked, shards[rank], deadline=60)
            picks = cells.picks(poolwise.distributed.select(strategy, ranks=end, **parts))
            if rank == 0:
                print(json.dumps([asked, how, shuffled, picks]), flush=True)


def by_launcher(engine):
    known = {}

    def cells_of(asked, ranks):
        if ranks not in known:
            launch = (["mpirun", "-np", str(ranks), sys.executable] if engine == "mpi4py" else
                      [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--master-port", str(29500 + ranks)])
            done = subprocess.run([*launch, str(HERE), "--serve", engine], env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                raise RuntimeError(done.stderr[-2000:])
            known[ranks] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        for of, how, shuffled, picks in known[ranks]:
            if of == asked:
                yield how, shuffled, [[tuple(pick) for pick in picks]]

    return cells_of


def by_command(command):
    """Files in the order of rows: a partition in order, as many files as ranks; and more files than ranks."""

    def cells_of(asked, ranks):
        strategy, parts = cells.arguments(asked, POOL)
        options = {"embeddings": "--embeddings", "outputs": "--logits", "committee": "--committee", "group": "--group"}
        for how, _, shards in partitions(ranks):
            for files in (shards, [half for shard in shards for half in np.array_split(shard, 2)]):
                if _:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    words = ["--shard", "shard-*.npy", "--strategy", strategy, "--batch", str(cells.BATCH), "--json", "--threads", "1"]
                    for at, rows in enumerate(files):
                        np.save(f"{folder}/shard-{at:02}.npy", rows)
                        for name in options:
                            if name in parts:
                                np.save(f"{folder}/{name}-{at:02}.npy", parts[name][:, rows] if name == "committee" else parts[name][rows])
                    for name, option in options.items():
                        words += [option, f"{name}-*.npy"] if name in parts else []
                    if "quota" in parts:
                        pathlib.Path(folder, "quota.csv").write_text("group,quota\n" + "".join(f"{g},{q}\n" for g, q in enumerate(parts["quota"])))
                        words += ["--quota", "quota.csv"]
                    if "labelled" in parts:
                        np.save(f"{folder}/labelled.npy", parts["labelled"])
                        words += ["--labelled", "labelled.npy"]
                    if "seed" in parts:
                        words += ["--seed", str(parts["seed"])]
                    done = subprocess.run(["mpirun", "-np", str(ranks), command, "select", *words], cwd=folder, env=ENVIRONMENT, capture_output=True,
                                          text=True, timeout=120)
                if done.returncode != 0:
                    raise RuntimeError(done.stderr[-2000:])
                yield how, False, [[(pick["row"], float(np.float32(pick["score"])).hex()) for pick in json.loads(done.stdout)["picks"]]]

    return cells_of


def by_dask(asked, ranks):
    import dask.array as da
    from distributed import Client, LocalCluster

    import poolwise.dask

    with LocalCluster(n_workers=ranks, threads_per_worker=1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        for how, shuffled, shards in partitions(ranks):
            if shuffled or how == "one empty":  # the chunks of an array are in order, and some row is in each
                continue
            strategy, parts = cells.arguments(asked, POOL)
            for name in "embeddings", "outputs", "committee":
                if name in parts:
                    axis = 1 if name == "committee" else 0
                    parts[name] = da.from_array(parts[name], chunks=tuple(tuple(map(len, shards)) if at == axis else -1 for at in range(parts[name].ndim)))
            yield how, False, [cells.picks(poolwise.dask.select(strategy, client=client, **parts))]


class EndsItsWorker:
    """Told of picks: ends the process that asks first."""

    def __init__(self, flag):
        self._flag = flag

    def __call__(self, picks, most):
        try:
            os.close(os.open(self._flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os._exit(9)


def lost_worker(out):
    """One of three workers of Dask ends while it picks; its rows are made again on the others."""
    import dask.array as da
    from distributed import Client, LocalCluster

    import poolwise.dask

    strategy, parts = cells.arguments("k-center", POOL)
    expected, began = cells.picks(poolwise.select(strategy, **parts)), time.monotonic()
    parts["embeddings"] = da.from_array(parts["embeddings"], chunks=((100, 17, 43, 200), -1))
    with (tempfile.TemporaryDirectory() as folder, LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster,
          Client(cluster) as client):
        right = cells.picks(poolwise.dask.select(strategy, client=client, deadline=5, progress=EndsItsWorker(f"{folder}/flag"), **parts)) == expected
        right = right and os.path.exists(f"{folder}/flag")
    out(f"one of 3 workers of Dask ends while it picks: {'the same batch from those that are left' if right else 'WRONG'}, {time.monotonic() - began:.1f} s")
    return right


def by_ray(asked, ranks):
    import ray

    import poolwise.ray

    if not ray.is_initialized():
        ray.init(num_cpus=max(RANKS), include_dashboard=False, log_to_driver=False)
    for how, shuffled, shards in partitions(ranks):
        if how == "one empty":  # the data set is cut anew
            continue
        rows = np.concatenate(shards)
        strategy, parts = cells.arguments(asked, POOL)
        if "committee" in parts:
            return  # one column a row
        columns = {"number": rows, **{name: list(parts.pop(name)[rows]) for name in ("embeddings", "outputs", "group") if name in parts}}
        pool = ray.data.from_items([dict(zip(columns, row)) for row in zip(*columns.values())], override_num_blocks=5)
        named = {name: name for name in columns if name != "number"}
        yield how, shuffled, [cells.picks(poolwise.ray.select(strategy, pool, ranks=ranks, numbers="number", **named, **parts))]


def killed(command, out):
    """The command with one of three ranks killed before each of its exchanges in turn, while mpirun lets the others live; and gone on
    with by two ranks."""
    asked = [command, "select", "--shard", "part-*.npy", "--strategy", "kcenter", "--batch", "40", "--deadline", "5", "--threads", "1"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mpicc", "-shared", "-fPIC", "-o", f"{folder}/die.so", str(HERE.parent / "die_at_exchange.c")], check=True)
        for at, rows in enumerate(cells.partition(3, "ragged", False)):
            np.save(f"{folder}/part-{at}.npy", POOL["embeddings"][rows])

        def run(*words):
            return subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)

        expected, exchange, longest = run(*asked).stdout, 0, 0
        while True:
            began = time.monotonic()
            done = run("mpirun", "--enable-recovery", "-np", "3", "-x", f"LD_PRELOAD={folder}/die.so", "-x", f"DIE_AT={exchange}", "-x", "DIE_RANK=1",
                       *asked, "--checkpoint", "state")
            seconds = time.monotonic() - began
            if done.stdout == expected:  # there was no such exchange
                break
            longest = max(longest, seconds)
            said = done.stderr.count("rank 1 did not answer within 5.0 s")  # mpirun mixes lines of its own with them
            resumed = run("mpirun", "-np", "2", *asked, "--checkpoint", "state")
            if said != 2 or seconds >= 10 or resumed.stdout != expected:
                out(f"killed before exchange {exchange}: WRONG after {seconds:.1f} s: {done.stderr[-500:]}; resumed: {resumed.stderr[-300:]}")
                return False
            exchange += 1
        out(f"rank 1 of 3 killed before each of {exchange} exchanges: both others end with \"rank 1 did not answer within 5.0 s\", in {longest:.1f} s at most; "
            "2 ranks then make the same batch")
    return exchange > 2


def main():
    options = argparse.ArgumentParser()
    options.add_argument("command", nargs="?")
    options.add_argument("--serve")
    options.add_argument("--out")
    given = options.parse_args()
    if given.serve:
        return serve(given.serve)
    lines = []

    def out(line):
        print(line, flush=True)
        lines.append(line)
        if given.out:
            pathlib.Path(given.out).write_text("\n".join(lines) + "\n")

    out(f"Poolwise {poolwise.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    mpi = shutil.which("mpirun") is not None
    command = mpi and given.command and (pathlib.Path(given.command).parent / "libpoolwise_mpi.so").exists()
    engines = {"threads": by_threads, "command by mpirun": by_command(str(pathlib.Path(given.command).resolve())) if command else None,
               "mpi4py": by_launcher("mpi4py") if mpi and has("mpi4py") else None, "Dask": by_dask if has("distributed") else None,
               "gloo": by_launcher("gloo") if has("torch") else None, "Ray": by_ray if has("ray") else None}
    wrong = 0
    for engine, cells_of in engines.items():
        if cells_of is None:
            out(f"{engine}: not run, it is not here")
            continue
        for asked in cells.ASKED:
            strategy, parts = cells.arguments(asked, POOL)
            expected, counted, began, why = cells.picks(poolwise.select(strategy, **parts)), 0, time.monotonic(), ""
            try:
                for ranks in RANKS[:3] if engine in ("gloo", "Ray") else RANKS:
                    for how, shuffled, answers in cells_of(asked, ranks):
                        counted += 1
                        for answer in answers:
                            if answer != expected and not why:
                                why = f"; DIFFERS at {ranks} ranks, {how}, {'shuffled' if shuffled else 'in order'}: {str(answer)[:200]}"
            except Exception as problem:  # noqa: BLE001 - it is reported
                why = f"; FAILED: {str(problem)[-600:]}"
            wrong += bool(why)
            out(f"{engine:18} {asked:22} {counted:3} cells {'equal' if not why else ''}, {time.monotonic() - began:.1f} s{why}")
    if has("distributed") and not lost_worker(out):
        wrong += 1
    if command and shutil.which("mpicc") and not killed(str(pathlib.Path(given.command).resolve()), out):
        wrong += 1
    out(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
