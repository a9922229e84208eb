"""What the tests of ranks have in common: pools, partitions of them, what is asked, and what one process answers."""

import threading

import numpy as np

ROWS, FEATURES, CLASSES, MEMBERS = 360, 6, 4, 3


def pool(seed=5):
    """Parts by name; some rows are equal, so that ties are there."""
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((ROWS, FEATURES)).astype(np.float32)
    embeddings[rng.integers(0, ROWS, 30)] = embeddings[7]
    outputs = rng.standard_normal((ROWS, CLASSES)).astype(np.float32)
    outputs[rng.integers(0, ROWS, 40)] = outputs[3]
    return {
        "embeddings": embeddings, "outputs": outputs, "committee": rng.standard_normal((MEMBERS, ROWS, CLASSES)).astype(np.float32),
        "group": rng.integers(0, 3, ROWS),
    }


# Strategy, its parts, and what else is asked.
ASKED = {
    "top-k with quota": ("entropy", ("outputs", "group"), {"quota": [4, 20, 3]}),
    "k-center": ("kcenter", ("embeddings",), {"labelled": [11, 200, 340]}),
    "BADGE": ("badge", ("outputs", "embeddings"), {"seed": 9}),
    "margin/10x/facility": ("margin/10x/facility_location", ("outputs", "embeddings"), {}),
    "DPP": ("dpp", ("embeddings",), {}),
    "BALD of a committee": ("bald", ("committee",), {}),
    "margin/10x/k-center": ("margin/10x/kcenter", ("outputs", "embeddings"), {}),
}
BATCH = 12


def arguments(asked, parts):
    strategy, needed, more = ASKED[asked]
    return strategy, {"batch": BATCH, **{name: parts[name] for name in needed}, **more}


def partition(ranks, how, shuffled, seed=1):
    """Numbers of the rows of each rank: "equal", "ragged", or "one empty"; in order, or as they come."""
    rng = np.random.default_rng(seed + ranks)
    rows = rng.permutation(ROWS) if shuffled else np.arange(ROWS)
    if how == "equal" or ranks == 1:
        return np.array_split(rows, ranks)
    filled = ranks if how == "ragged" else ranks - 1
    ends = np.sort(rng.choice(np.arange(1, ROWS), filled - 1, replace=False))
    shards = np.split(rows, ends)
    if how == "one empty":
        shards.insert(int(rng.integers(ranks)), rows[:0])
    return shards


def rows_of(parts, numbers):
    """The arguments of one rank: its rows, those listed by their places among them."""
    of = {name: np.ascontiguousarray(value[:, numbers]) if name == "committee" else value[numbers] for name, value in parts.items()
          if name in ("embeddings", "outputs", "committee", "group")}
    of.update({name: value for name, value in parts.items() if name not in of})
    if "labelled" in parts:
        of["labelled"] = [place for place, number in enumerate(numbers) if number in parts["labelled"]]
    return of


def picks(batch):
    """All that must be equal, to the bit."""
    return [(int(row), float(score).hex()) for row, score in zip(batch.rows, batch.scores)]


class ThreadRank:
    """One of the ranks that are threads of this process. `fault(rank, exchange)` may raise, or sleep, before an exchange."""

    def __init__(self, rank, meeting):
        self.rank, self.size, self._meeting, self.exchanges = rank, meeting.size, meeting, 0

    def allgather(self, mine):
        exchange, self.exchanges = self.exchanges, self.exchanges + 1
        return self._meeting.gather(exchange, self.rank, mine)


class Meeting:
    def __init__(self, size, fault=None):
        self.size, self._fault = size, fault
        self._given, self._changed = {}, threading.Condition()

    def gather(self, exchange, rank, mine):
        if self._fault is not None:
            self._fault(rank, exchange)
        with self._changed:
            given = self._given.setdefault(exchange, {})
            given[rank] = mine
            self._changed.notify_all()
            while len(given) < self.size:
                self._changed.wait(1)
            return [given[one] for one in range(self.size)]


def over_threads(size, body, fault=None):
    """What body(end) returns or raises, of each rank."""
    meeting = Meeting(size, fault)
    answers = [None] * size

    def run(rank):
        try:
            answers[rank] = body(ThreadRank(rank, meeting))
        except BaseException as problem:  # noqa: BLE001 - the tests look at it
            answers[rank] = problem

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    return answers
