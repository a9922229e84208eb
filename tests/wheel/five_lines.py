import gzip

import numpy as np

import poolwise as pw

images = np.frombuffer(gzip.open("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz").read(), np.uint8, offset=16)
batch = pw.select(strategy="typiclust/10x/kcenter", batch=100, embeddings=(images.reshape(-1, 784) / 255).astype(np.float32))
print(batch.rows[:10], batch[0].reason)
assert len(set(batch.rows)) == 100
