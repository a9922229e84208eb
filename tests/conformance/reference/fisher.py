"""What rows tell of a linear last layer: the trace of an inverse, made anew for every row that might come or go."""

import numpy as np
from golden import case, first_of, numbers, softmax, vectors

ROWS, LABELLED, BATCH = 18, [2, 7, 11], 4
H, LOGITS = numbers((ROWS, 3), 801), numbers((ROWS, 3), 802, 1.5)


def forward_backward(information, begin, target, batch, open_rows, tolerance):
    """Twice the batch by the largest fall of tr(M^-1 target), then back to the batch by the least rise."""
    m, picks, values = begin.copy(), [], []

    def trace(m):
        return np.trace(np.linalg.inv(m) @ target)

    for _ in range(2 * batch):
        falls = np.full(len(information), -np.inf)
        for row in open_rows:
            if row not in picks:
                falls[row] = trace(m) - trace(m + information[row])
        row = first_of(falls, tolerance)
        picks.append(row)
        values.append(falls[row])
        m = m + information[row]
    while len(picks) > batch:
        rises = np.array([trace(m - information[row]) - trace(m) for row in picks])
        gone = first_of(-rises, tolerance)
        m = m - information[picks[gone]]
        del picks[gone], values[gone]
    return picks, values


@vectors("bait", "bait_binary")
def bait(name):
    p = softmax(LOGITS)
    if name == "bait":
        told = [np.kron(np.diag(q) - np.outer(q, q), np.outer(h, h)) for q, h in zip(p, H)]
    else:
        told = [q.max() * (1 - q.max()) * np.outer(h, h) for q, h in zip(p, H)]
    told = np.array(told)
    for labelled in (LABELLED, []):
        for penalty in (1, 0.05):
            both = len(labelled) + BATCH
            begin = penalty * np.eye(told.shape[1]) + told[labelled].sum(axis=0) / both
            picks, values = forward_backward(told * BATCH / both, begin, told.mean(axis=0), BATCH,
                                             [row for row in range(ROWS) if row not in labelled], 4e-6)
            held = {"labelled": labelled} if labelled else {}
            yield case(f"{len(labelled)} labelled rows, penalty {penalty}", f"{name}(lambda={penalty})", picks, values,
                       embeddings=H, logits=LOGITS, **held)


@vectors("bait_regression")
def bait_regression():
    told = np.einsum("if,ig->ifg", H, H)
    for labelled in (LABELLED, []):
        for noise in (1, 0.25):
            begin = noise**2 * np.eye(H.shape[1]) + told[labelled].sum(axis=0)
            picks, values = forward_backward(told, begin, told.mean(axis=0), BATCH,
                                             [row for row in range(ROWS) if row not in labelled], 4e-6)
            held = {"labelled": labelled} if labelled else {}
            yield case(f"{len(labelled)} labelled rows, noise {noise}", f"bait_regression(noise={noise})", picks, values,
                       embeddings=H, **held)
