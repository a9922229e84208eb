"""How far a call has come: by tqdm where it is, else in a line on standard error."""

import sys


class Bar:
    def __init__(self, call):
        self._call = call
        self._bar = None
        self._done = None

    def __call__(self, done, most):
        if self._done is None:
            try:
                from tqdm.auto import tqdm
                self._bar = tqdm(total=most, desc=self._call, unit="pick")
            except ImportError:
                pass
        if self._bar is not None:
            self._bar.update(done - (self._done or 0))
        else:
            sys.stderr.write(f"\r{self._call}: {done}" + ("" if most is None else f" of {most}") + " picks")
            sys.stderr.flush()
        self._done = done

    def __del__(self):
        if self._bar is not None:
            self._bar.close()
        elif self._done is not None:
            sys.stderr.write("\n")
