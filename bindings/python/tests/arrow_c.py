"""Tables by the Arrow C data interface, made of ctypes alone: what no package of Arrow has touched."""

import ctypes as c

import numpy as np


class Schema(c.Structure):
    pass


class Array(c.Structure):
    pass


class Stream(c.Structure):
    pass


RELEASE_SCHEMA = c.CFUNCTYPE(None, c.POINTER(Schema))
RELEASE_ARRAY = c.CFUNCTYPE(None, c.POINTER(Array))
Schema._fields_ = [("format", c.c_char_p), ("name", c.c_char_p), ("metadata", c.c_char_p), ("flags", c.c_int64), ("n_children", c.c_int64),
                   ("children", c.POINTER(c.POINTER(Schema))), ("dictionary", c.POINTER(Schema)), ("release", RELEASE_SCHEMA),
                   ("private_data", c.c_void_p)]
Array._fields_ = [("length", c.c_int64), ("null_count", c.c_int64), ("offset", c.c_int64), ("n_buffers", c.c_int64), ("n_children", c.c_int64),
                  ("buffers", c.POINTER(c.c_void_p)), ("children", c.POINTER(c.POINTER(Array))), ("dictionary", c.POINTER(Array)),
                  ("release", RELEASE_ARRAY), ("private_data", c.c_void_p)]
GET_SCHEMA = c.CFUNCTYPE(c.c_int, c.POINTER(Stream), c.POINTER(Schema))
GET_NEXT = c.CFUNCTYPE(c.c_int, c.POINTER(Stream), c.POINTER(Array))
LAST_ERROR = c.CFUNCTYPE(c.c_void_p, c.POINTER(Stream))
RELEASE_STREAM = c.CFUNCTYPE(None, c.POINTER(Stream))
Stream._fields_ = [("get_schema", GET_SCHEMA), ("get_next", GET_NEXT), ("get_last_error", LAST_ERROR), ("release", RELEASE_STREAM),
                   ("private_data", c.c_void_p)]
FORMATS = {"int8": b"c", "uint8": b"C", "int32": b"i", "int64": b"l", "uint64": b"L", "float16": b"e", "float32": b"f", "float64": b"g"}


class Column:
    """`values`: an array [rows] or [rows, n], or a list of strings or bytes; `kind` chooses another layout for them."""

    def __init__(self, values, kind=None, metadata=None, null=None):
        self.metadata, self.null, self.child = metadata, null, None
        if isinstance(values, np.ndarray) and values.ndim == 2:
            self.child = Column(np.ascontiguousarray(values).reshape(-1))
            self.width = values.shape[1]
            self.format, self.buffers = b"+w:%d" % self.width, []
            if kind in ("list", "large_list"):
                self.format = {"list": b"+l", "large_list": b"+L"}[kind]
                self.buffers = [(np.arange(len(values) + 1) * self.width).astype({"list": np.int32, "large_list": np.int64}[kind])]
        elif isinstance(values, np.ndarray):
            self.format, self.buffers = FORMATS[values.dtype.name], [values]
        elif kind == "fixed":
            self.format, self.buffers = b"w:%d" % len(values[0]), [np.frombuffer(b"".join(values), np.uint8)]
        else:
            data = [value.encode() if isinstance(value, str) else value for value in values]
            ends = np.cumsum([0] + [len(one) for one in data])
            large = kind == "large"
            self.format = (b"U" if large else b"u") if isinstance(values[0], str) else (b"Z" if large else b"z")
            self.buffers = [ends.astype(np.int64 if large else np.int32), np.frombuffer(b"".join(data) or b"\0", np.uint8)]
        self.size = len(values)


KEPT = []  # tables: who holds their structs calls back into them


class Table:
    """Columns of one length in chunks that end at `ends`; each chunk is a slice of the same memory, or lies `apart`."""

    def __init__(self, columns, ends=None, apart=False):
        self.columns = {name: one if isinstance(one, Column) else Column(one) for name, one in columns.items()}
        rows = next(iter(self.columns.values())).size
        self.chunks = list(zip([0] + list(ends or []), list(ends or []) + [rows]))
        self.apart = apart
        self.alive = 0  # structs that were handed out and not released
        self._kept = []
        KEPT.append(self)

    def _keep(self, *things):
        self._kept.extend(things)
        return things[0]

    def _release(self, pointer):
        self.alive -= 1
        one = pointer.contents
        for i in range(one.n_children):
            child = one.children[i].contents
            if child.release:
                child.release(one.children[i])
        c.memset(c.addressof(one) + type(one).release.offset, 0, c.sizeof(c.c_void_p))

    def _children(self, kind, children):
        pointers = (c.POINTER(kind) * max(1, len(children)))(*(c.pointer(one) for one in children))
        return self._keep(c.cast(pointers, c.POINTER(c.POINTER(kind))), pointers, children)

    def _schema(self, name, form, children=(), metadata=None):
        self.alive += 1
        release = self._keep(RELEASE_SCHEMA(self._release))
        return Schema(self._keep(form), self._keep(name.encode()), self._keep(metadata), 0, len(children), self._children(Schema, list(children)), None, release, None)

    def _array(self, length, offset, buffers, children=(), nulls=None):
        self.alive += 1
        release = self._keep(RELEASE_ARRAY(self._release))
        addresses = (c.c_void_p * (1 + len(buffers)))(nulls.ctypes.data if nulls is not None else None, *(one.ctypes.data for one in buffers))
        self._keep(addresses, buffers, nulls)
        return Array(length, 0 if nulls is None else 1, offset, 1 + len(buffers), len(children),
                     c.cast(addresses, c.POINTER(c.c_void_p)), self._children(Array, list(children)), None, release, None)

    def _schema_of(self, name, column):
        inner = [self._schema_of("item", column.child)] if column.child else []
        return self._schema(name, column.format, inner, column.metadata)

    def _array_of(self, column, begin, end):
        buffers, offset = column.buffers, begin
        nulls = None
        if column.null is not None and begin <= column.null < end:
            bits = np.ones(column.size, np.uint8)
            bits[column.null] = 0
            nulls = np.packbits(bits, bitorder="little")
        if self.apart and not column.child and column.format in FORMATS.values() and nulls is None:
            buffers, offset = [np.array(buffers[0][begin:end])], 0
        children = []
        if column.child and self.apart and column.format.startswith(b"+w"):
            children, offset = [self._array_of(column.child, begin * column.width, end * column.width)], 0
        elif column.child:
            children = [self._array(column.child.size, 0, column.child.buffers)]
        return self._array(end - begin, offset, buffers, children, nulls)

    def __arrow_c_stream__(self, requested_schema=None):
        left = list(self.chunks)

        def get_schema(_, out):
            out[0] = self._schema("", b"+s", [self._schema_of(*item) for item in self.columns.items()])
            return 0

        def get_next(_, out):
            if not left:
                c.memset(out, 0, c.sizeof(Array))
                return 0
            begin, end = left.pop(0)
            out[0] = self._array(end - begin, 0, [], [self._array_of(column, begin, end) for column in self.columns.values()])
            return 0

        def release(pointer):
            self.alive -= 1
            c.memset(c.addressof(pointer.contents) + Stream.release.offset, 0, c.sizeof(c.c_void_p))

        self.alive += 1
        stream = Stream(GET_SCHEMA(get_schema), GET_NEXT(get_next), LAST_ERROR(lambda _: None), RELEASE_STREAM(release), None)
        self._keep(stream)
        new = c.pythonapi.PyCapsule_New
        new.restype, new.argtypes = c.py_object, [c.c_void_p, c.c_char_p, c.c_void_p]
        return new(c.addressof(stream), b"arrow_array_stream", None)
