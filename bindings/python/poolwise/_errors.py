"""What can go wrong. A message says which call, what it got, what it needs and what to do, on one line."""


class Error(Exception):
    """The base of every error that Poolwise raises of its own."""


class ShapeError(Error, ValueError):
    """Sizes that do not fit each other."""


class InvalidValueError(Error, ValueError):
    """Numbers or words outside what the call is defined for: NaN, a negative cost, a row out of range."""


class ArgumentError(Error, TypeError):
    """Arguments of another name, number or type than a call takes."""


class ArrayError(Error, TypeError):
    """What is no array of numbers that a call takes, or lies on a device."""


class BudgetError(Error, ValueError):
    """A budget that buys nothing."""


class NoCudaError(Error, RuntimeError):
    """CUDA was asked of a build, or of a call, that has none."""


class CudaError(Error, RuntimeError):
    """The CUDA runtime or cuBLAS refused."""


class DeviceMemoryError(Error, MemoryError):
    """A device has not the memory that a call needs."""


class ClusterError(Error, RuntimeError):
    """One of many ranks failed, or is gone: all end with the same sentence."""
