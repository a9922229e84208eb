"""The same as select.c by ctypes, as any language that calls C would do it.

    python3 select.py [libpoolwise_c.so.1]
"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

ROWS, CLASSES, FEATURES = 1000, 3, 2


class Struct(ctypes.Structure):
    """Begins with its size; what is not named is 0."""

    def __init__(self, **fields):
        super().__init__(size=ctypes.sizeof(self), **fields)


class Matrix(Struct):
    _fields_ = [("size", c_size_t), ("data", c_void_p), ("rows", c_int64), ("cols", c_int64), ("stride", c_int64),
                ("type", c_int32), ("reserved", c_int32)]


class Query(Struct):
    _fields_ = [("size", c_size_t), ("strategy", c_char_p), ("batch", c_int64), ("budget", POINTER(c_int64)),
                ("budget_of", POINTER(c_char_p)), ("budget_limits", POINTER(c_int64)), ("budgets", c_int64),
                ("quota", POINTER(c_int64)), ("floor", POINTER(c_int64)), ("groups", c_int64), ("apart", POINTER(c_float)),
                ("neighbours", c_char_p), ("metric", c_char_p), ("seed", c_uint64), ("round", c_uint32),
                ("skip_invalid", c_int32)]


class Progress(Struct):
    _fields_ = [("size", c_size_t), ("picks", c_int64), ("of", c_int64), ("seconds", c_double)]


class Run(Struct):
    _fields_ = [("size", c_size_t), ("device", c_char_p), ("threads", c_int32), ("reserved", c_int32), ("memory", c_uint64),
                ("checkpoint", c_char_p), ("progress", ctypes.CFUNCTYPE(c_int, POINTER(Progress), c_void_p)), ("user", c_void_p)]


class Pick(Struct):
    _fields_ = [("size", c_size_t), ("row", c_int64), ("id", c_char_p), ("score", c_float), ("reserved", c_int32),
                ("cost", c_int64), ("reason", c_char_p)]


class Error(Exception):
    pass


class Poolwise:
    """The library, whose calls raise where they do not return 0."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.poolwise_message.restype = c_char_p

    def __getattr__(self, name):
        def call(*arguments):
            status = getattr(self.library, "poolwise_" + name)(*arguments)
            if status != 0:
                raise Error(status, self.library.poolwise_message().decode())
        return call


def filled(size, seed):
    values = (c_float * size)()
    for i in range(size):
        seed = (seed * 1664525 + 1013904223) % 2**32
        values[i] = (seed >> 8) / 16777216
    return values


def main():
    poolwise = Poolwise(sys.argv[1] if len(sys.argv) > 1 else "libpoolwise_c.so.1")
    logits, embeddings, labelled = filled(ROWS * CLASSES, 1), filled(ROWS * FEATURES, 2), (c_int64 * 2)(0, 1)
    pool, batch = c_void_p(), c_void_p()
    poolwise.pool_new(c_int64(ROWS), byref(pool))
    poolwise.pool_set_outputs(pool, byref(Matrix(data=ctypes.addressof(logits), rows=ROWS, cols=CLASSES)), 0)
    poolwise.pool_set_embeddings(pool, byref(Matrix(data=ctypes.addressof(embeddings), rows=ROWS, cols=FEATURES)))
    poolwise.pool_set_labelled(pool, labelled, c_int64(2))
    seen = []
    told = Run._fields_[6][1](lambda now, user: seen.append(now[0].picks) or 0)
    poolwise.select(pool, byref(Query(strategy=b"margin/5x/kcenter", batch=10)), byref(Run(progress=told)), byref(batch))
    poolwise.pool_free(pool)

    rows, count = POINTER(c_int64)(), c_int64()
    poolwise.batch_rows(batch, byref(rows), byref(count))
    for at in range(count.value):
        pick = Pick()
        poolwise.batch_pick(batch, c_int64(at), byref(pick))
        assert pick.row == rows[at]
        print(pick.row, f"{pick.score:.6g}", pick.reason.decode())
    assert seen[-1] == 10
    poolwise.batch_free(batch)
    try:
        poolwise.batch_free(batch)
    except Error as problem:
        print(problem.args[1], file=sys.stderr)
    else:
        sys.exit("a batch was freed twice, and nothing said so")


if __name__ == "__main__":
    main()
