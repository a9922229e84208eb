# An installed Poolwise, and the package by which another CMake project finds it.
