// What the library that is linked with MPI gives to the engine, which is not.
#pragma once

#include <cstdint>

extern "C" {

/// Whether an exchange is to go on waiting; called again and again while it does.
typedef bool (*poolwise_mpi_go_on)(void* context);
/// Room for `bytes` bytes that `rank` gave.
typedef void* (*poolwise_mpi_room)(void* context, int rank, std::uint64_t bytes);

struct poolwise_mpi_calls {
  int version;  ///< of this struct

  /// Starts MPI. Returns MPI's words where it cannot, or null.
  const char* (*start)(int* rank, int* size);
  /// Gathers `bytes` bytes of all ranks. Returns MPI's words where it fails, or null. Where it was not to go on
  /// it returns null, too, and nothing but `stop` may be called then; `answered`, one for each rank, says whose
  /// answer began to come.
  const char* (*gather)(const void* mine, std::uint64_t bytes, poolwise_mpi_room room, poolwise_mpi_go_on go_on,
                        void* context, bool* answered);
  /// Ends MPI. `all_are_there`: it may wait for the others.
  void (*stop)(bool all_are_there);
};

/// The one symbol of libpoolwise_mpi.so.
typedef const poolwise_mpi_calls* (*poolwise_mpi_entry)();
}

namespace poolwise {
inline constexpr int mpi_calls_version = 1;
}
