// Functions that both compilers compile.
#pragma once

/// Before a function that kernels call as well as the host. It adds attributes only: a body means the same
/// under both.
#ifdef __CUDACC__
#define POOLWISE_HD __host__ __device__
#else
#define POOLWISE_HD
#endif
