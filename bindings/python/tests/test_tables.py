"""Pools that tables hold, and batches that are tables."""

import gc
import pickle
import uuid

import numpy as np
import pytest
from arrow_c import Column, Table

import poolwise

RNG = np.random.default_rng(11)
LOGITS = RNG.standard_normal((240, 5)).astype(np.float32)
POINTS = RNG.standard_normal((240, 8)).astype(np.float32)
CENTS = RNG.integers(1, 90, 240)
SITES = [f"site {i % 3}" for i in range(240)]
UUIDS = [uuid.UUID(int=int(i) * 2**64 + 5) for i in range(240)]
IDS = {
    "int64": (np.arange(240) * 7 + 3, list(range(3, 3 + 7 * 240, 7))),
    "string": ([f"item {i}" for i in range(240)],) * 2,
    "large string": (Column([f"item {i}" for i in range(240)], "large"), [f"item {i}" for i in range(240)]),
    "bytes": ([bytes([i % 7, i]) for i in range(240)],) * 2,
    "uuid": (Column([one.bytes for one in UUIDS], "fixed",
                    (1).to_bytes(4, "little") + (20).to_bytes(4, "little") + b"ARROW:extension:name" + (10).to_bytes(4, "little") + b"arrow.uuid"), UUIDS),
}
ASK = {"strategy": "margin/4x/kcenter", "batch": 12}


def table(ids="int64", ends=None, apart=False, layout=None):
    return Table({"id": IDS[ids][0], "logits": Column(LOGITS, layout), "emb": Column(POINTS, layout), "cents": CENTS, "site": SITES}, ends, apart)


def pool(of, **more):
    return poolwise.Pool(of, ids="id", outputs="logits", embeddings="emb", cost="cents", **more)


BY_ARRAYS = poolwise.select(**ASK, outputs=LOGITS, embeddings=POINTS, cost=CENTS)


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("layout", [None, "list", "large_list"])
def test_a_pool_is_its_table(ids, layout):
    for ends in (None, [100], [1, 2, 2, 239]):  # slices of the same memory are one view
        of = table(ids, ends, layout=layout)
        chosen = poolwise.select("margin/4x/kcenter", pool(of), batch=12)
        assert chosen.rows.tolist() == BY_ARRAYS.rows.tolist() and chosen.costs.tolist() == BY_ARRAYS.costs.tolist()
        known = IDS[ids][1]
        assert chosen.ids == [known[row] for row in chosen.rows] and type(chosen.ids[0]) is type(known[0])
        assert pickle.loads(pickle.dumps(chosen)).ids == chosen.ids
        p = pool(of)
        assert len(p) == 240 and repr(p) == "<poolwise.Pool of 240 rows: ids, outputs, embeddings, cost>"
        assert p.rows_of([known[200], known[3], known[3]]).tolist() == [200, 3, 3]
        assert str(known[chosen.rows[0]] if ids != "bytes" else known[chosen.rows[0]].hex()) in chosen.why(0)


def test_chunks_that_lie_apart_are_copied_where_they_may_be():
    of = table(ends=[100, 170], apart=True)
    with pytest.raises(poolwise.ArrayError, match=r'^Pool: outputs \("logits"\) lies in 3 chunks .*rechunk.*combine_chunks.*copy=True'):
        pool(of)
    chosen = poolwise.select(**ASK, pool=pool(of, copy=True))
    assert chosen.rows.tolist() == BY_ARRAYS.rows.tolist() and chosen.ids == [IDS["int64"][1][row] for row in chosen.rows]


def test_keywords_stand_beside_a_pool():
    p = pool(table("string"), group="site")
    chosen = poolwise.select(**ASK, pool=p, labelled=["item 9"], exclude=[int(BY_ARRAYS.rows[0])], quota={"site 0": 2, "*": 9}, progress=False)
    by_arrays = poolwise.select(**ASK, outputs=LOGITS, embeddings=POINTS, cost=CENTS, labelled=[9], exclude=[int(BY_ARRAYS.rows[0])],
                                group=[i % 3 for i in range(240)], quota=[2, 9, 9])
    assert chosen.rows.tolist() == by_arrays.rows.tolist()
    by_number = poolwise.Pool(Table({"emb": POINTS, "g": np.arange(240) % 3}), embeddings="emb", group="g")
    assert (poolwise.select("kcenter", by_number, batch=9, quota=[9, 0, 9]).rows % 3 != 1).all()
    assert (poolwise.select("kcenter", by_number, batch=9, quota={"1": 0, "*": 9}).rows % 3 != 1).all()
    members = Table({"a": LOGITS, "b": LOGITS[::-1].copy()})
    chosen = poolwise.select("bald", poolwise.Pool(members, committee=["a", "b"]), batch=5)
    assert chosen.rows.tolist() == poolwise.select("bald", batch=5, committee=[LOGITS, LOGITS[::-1].copy()]).rows.tolist()
    assert poolwise.plan("kcenter", p, batch=5).bytes > 0


def test_what_a_table_hands_out_is_given_back_once():
    of = table("string", [100])
    p = pool(of)
    poolwise.select(**ASK, pool=p)
    assert of.alive > 0
    del p
    gc.collect()
    assert of.alive == 0
    with pytest.raises(poolwise.InvalidValueError):
        poolwise.Pool(of, outputs="none")
    assert of.alive == 0


@pytest.mark.parametrize("given, error, says", [
    (lambda: poolwise.Pool(table(), outputs="logit"), poolwise.InvalidValueError, 'outputs is "logit", which is the name of no column; the table has id, logits, emb'),
    (lambda: poolwise.Pool(LOGITS, outputs="logits"), poolwise.ArrayError, "table is .*; pass a table with __arrow_c_stream__"),
    (lambda: poolwise.Pool(table(), embeddings="cents"), poolwise.ArrayError, 'embeddings .*format "l"; pass a column of lists of float32'),
    (lambda: poolwise.Pool(Table({"x": Column(LOGITS, null=7)}), outputs="x"), poolwise.InvalidValueError, "is null in row 7"),
    (lambda: poolwise.Pool(Table({"x": LOGITS.astype(np.float64)}), outputs="x"), poolwise.ArrayError, "holds float64; .*copy=True"),
    (lambda: poolwise.Pool(Table({"x": np.arange(20).reshape(10, 2)}), outputs="x"), poolwise.ArrayError, 'lists of the Arrow format "l"'),
    (lambda: poolwise.Pool(Table({"i": np.array([3, 4, 3])}), ids="i"), poolwise.InvalidValueError, "is 3 in rows 0 and 2; give every row its own"),
    (lambda: poolwise.Pool(Table({"i": ["a", "", "b"]}), ids="i"), poolwise.InvalidValueError, "is empty in row 1"),
    (lambda: poolwise.Pool(Table({"i": np.array([2**63], np.uint64)}), ids="i"), poolwise.InvalidValueError, r"beyond 2\^63 - 1"),
    (lambda: poolwise.Pool(Table({"i": np.ones(3, np.float32)}), cost="i"), poolwise.ArrayError, "pass a column of integers"),
    (lambda: poolwise.Pool(Table({"p": np.full((9, 4), .25, np.float32)}), outputs="p"), poolwise.InvalidValueError, 'holds probabilities.*kind="prob'),
    (lambda: poolwise.Pool("pool.csv", outputs="p"), poolwise.InvalidValueError, "pass a table, or the name of a .parquet file"),
    (lambda: poolwise.select(**ASK, pool=table()), poolwise.ArgumentError, "pool is .*; pass a poolwise.Pool"),
    (lambda: poolwise.select(**ASK, pool=pool(table()), outputs=LOGITS), poolwise.InvalidValueError, "outputs is given, and the pool has it, too"),
    (lambda: pool(table()).rows_of([4]), poolwise.InvalidValueError, "no row of the id 4"),
    (lambda: poolwise.Pool(table(), outputs="logits").rows_of([4]), poolwise.InvalidValueError, "the pool has no ids"),
    (lambda: poolwise.select("margin", pool(table(), group="site"), batch=3, quota=[1]), poolwise.InvalidValueError, "pass quota as a dict"),
])
def test_tables_that_are_refused(given, error, says):
    with pytest.raises(error, match=says) as refusal:
        given()
    assert "\n" not in str(refusal.value)


def test_lists_of_other_lengths_are_refused():
    ragged = Column(LOGITS, "list")
    ragged.buffers[0][5:] += 1
    with pytest.raises(poolwise.InvalidValueError, match="has 6 values in row 4 and 5 before"):
        poolwise.Pool(Table({"x": ragged}), outputs="x")


@pytest.mark.parametrize("ids", IDS)
def test_a_batch_is_a_table(ids):
    chosen = poolwise.select(**ASK, pool=pool(table(ids)))
    again = poolwise.Pool(chosen, ids="id", cost="cost")  # it reads what it writes
    assert len(again) == 12 and again.rows_of(chosen.ids).tolist() == list(range(12))
    assert poolwise.select("random", again, batch=12).cost == chosen.cost
    frame(chosen, ids)


def frame(chosen, ids):
    """The same by what others read."""
    pa = pytest.importorskip("pyarrow")
    read = pa.table(chosen)
    read.validate(full=True)
    assert read.column_names == ["row", "id", "score", "cost", "reason"]
    assert read["row"].to_pylist() == chosen.rows.tolist() and read["reason"].to_pylist() == chosen.reasons
    assert read["id"].to_pylist() == chosen.ids
    np.testing.assert_array_equal(read["score"], chosen.scores)


def test_a_batch_of_none_is_a_table():
    none = poolwise.select("random", batch=0, rows=5)
    assert len(poolwise.Pool(none, ids="id", cost="cost")) == 0


def arrow_table():
    import pyarrow as pa
    lists = [pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1]) for x in (LOGITS, POINTS)]
    return pa.table({"id": IDS["int64"][0], "logits": lists[0], "emb": lists[1], "cents": CENTS, "site": pa.array(SITES).dictionary_encode()})


def of_polars():
    import polars as pl
    return pl.DataFrame({"id": IDS["int64"][0], "logits": pl.Series(LOGITS), "emb": pl.Series(POINTS), "cents": CENTS, "site": SITES})


def of_pandas():
    import pandas as pd
    import pyarrow as pa
    return arrow_table().to_pandas(types_mapper=pd.ArrowDtype)


def of_duckdb():
    import duckdb
    data = arrow_table()  # noqa: F841: duckdb finds it by its name
    return duckdb.sql("select * from data order by id")


@pytest.mark.parametrize("package, make", [("pyarrow", arrow_table), ("polars", of_polars), ("pandas", of_pandas), ("duckdb", of_duckdb)])
def test_tables_of_others(package, make):
    pytest.importorskip(package)
    if package in ("pandas", "duckdb"):
        pytest.importorskip("pyarrow")
    p = pool(make(), group="site", copy=package == "duckdb")
    chosen = poolwise.select(**ASK, pool=p, quota={"*": 12})
    assert chosen.rows.tolist() == BY_ARRAYS.rows.tolist() and chosen.ids == [IDS["int64"][1][row] for row in chosen.rows]
    if package == "polars":
        import polars as pl
        read = pl.DataFrame(chosen)
        assert read["id"].to_list() == chosen.ids and read["row"].to_list() == chosen.rows.tolist()
        assert poolwise.score(pl.Series(LOGITS), "margin").tolist() == poolwise.score(LOGITS, "margin").tolist()
    if package == "pyarrow":
        assert poolwise.select(**ASK, outputs=make()["logits"].chunk(0), embeddings=POINTS).rows.tolist() == BY_ARRAYS.rows.tolist()


def test_parquet_is_read_by_pyarrow(tmp_path):
    try:
        import pyarrow.parquet as pq
    except ImportError:
        with pytest.raises(poolwise.InvalidValueError, match="install pyarrow"):
            poolwise.score(str(tmp_path / "x.parquet:logits"), "margin")
        pytest.skip("there is no pyarrow")
    pq.write_table(arrow_table(), tmp_path / "x.parquet")
    np.testing.assert_array_equal(poolwise.score(tmp_path / "x.parquet:logits", "margin"), poolwise.score(LOGITS, "margin"))
    assert poolwise.select(**ASK, pool=pool(tmp_path / "x.parquet")).rows.tolist() == BY_ARRAYS.rows.tolist()
    with pytest.raises(poolwise.InvalidValueError, match="could not be read"):
        poolwise.score(str(tmp_path / "y.parquet:logits"), "margin")
