// Ranks that mpirun or srun started.
#pragma once

#include <memory>
#include <string>

#include "poolwise/cluster/communicator.hpp"

namespace poolwise {

/// How this process was started, by the variables that launchers set.
struct launched_rank {
  int rank = 0, ranks = 1;
  int local_rank = 0, local_ranks = 1;  ///< of those on this machine
  std::string by;                       ///< "mpirun", "Slurm", "torchrun"; empty for a process alone
  bool has_mpi = false;                 ///< MPI would find the other ranks
};

/// Reads OMPI_COMM_WORLD_..., PMIX_RANK and PMI_... of MPI's launchers, else SLURM_..., else torchrun's RANK.
launched_rank launched();

/// All ranks that were started together, by MPI; a process alone is one rank. MPI is in libpoolwise_mpi.so,
/// which is loaded here, beside the program or where the system's loader looks. One for each process, made and
/// used by one thread: MPI starts once, and ends when it is destroyed. Ranks are exchanged with by nonblocking
/// calls that look at the deadline and at heed_interruption. Where a rank is lost MPI is not ended: the process
/// must exit.
///
/// throws usage_error where Slurm or torchrun started several ranks that MPI does not connect, or this build
/// has no MPI; cluster_error where MPI does not start.
std::unique_ptr<communicator> launched_communicator();

}  // namespace poolwise
