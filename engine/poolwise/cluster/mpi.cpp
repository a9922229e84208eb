#include "poolwise/cluster/mpi.hpp"

#include <dlfcn.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>

#include "poolwise/cluster/detail/mpi_calls.hpp"
#include "poolwise/core/interruption.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

/// The number in the first of these variables that holds one.
int number_in_environment(std::initializer_list<const char*> names, int otherwise) {
  for (const char* const name : names) {
    const char* const text = std::getenv(name);
    if (text == nullptr) continue;
    int number = 0;
    // Slurm writes tasks a node as 4(x2).
    if (std::from_chars(text, text + std::strlen(text), number).ec == std::errc{} && number >= 0) return number;
  }
  return otherwise;
}

const poolwise_mpi_calls& load() {
  // Open MPI's own modules look for its symbols in the whole process.
  void* const library = ::dlopen("libpoolwise_mpi.so", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr)
    throw usage_error(std::string("MPI cannot be loaded: ") + ::dlerror() +
                      "; build Poolwise where libopenmpi-dev is installed");
  const auto entry = reinterpret_cast<poolwise_mpi_entry>(::dlsym(library, "poolwise_mpi"));
  if (entry == nullptr || entry()->version != mpi_calls_version)
    throw usage_error("libpoolwise_mpi.so is of another build; install the command and it together");
  return *entry();
}

class mpi_communicator : public communicator {
 public:
  mpi_communicator() : calls_(load()) {
    if (const char* const problem = calls_.start(&rank_, &size_))
      throw cluster_error(cluster_failure::lost, std::string("MPI does not start: ") + problem);
  }
  ~mpi_communicator() override { calls_.stop(all_are_there_); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  using messages = std::vector<std::vector<std::byte>>;

  /// What MPI calls back.
  struct progress {
    messages all;
    std::chrono::steady_clock::time_point end;
    std::exception_ptr thrown = nullptr;

    static bool go_on(void* context) {
      auto& my = *static_cast<progress*>(context);
      try {
        heed_interruption();
      } catch (...) {
        my.thrown = std::current_exception();
        return false;
      }
      return std::chrono::steady_clock::now() < my.end;
    }

    static void* room(void* context, int rank, std::uint64_t bytes) {
      auto& message = static_cast<progress*>(context)->all[std::size_t(rank)];
      message.resize(std::size_t(bytes));
      return message.data();
    }
  };

  messages gather(std::span<const std::byte> mine, milliseconds deadline) override {
    progress now{messages(std::size_t(size_)), std::chrono::steady_clock::now() + deadline};
    const auto answered = std::make_unique<bool[]>(std::size_t(size_));
    all_are_there_ = false;
    const char* const problem =
        calls_.gather(mine.data(), mine.size(), &progress::room, &progress::go_on, &now, answered.get());
    if (now.thrown) std::rethrow_exception(now.thrown);
    if (problem != nullptr)
      throw cluster_error(cluster_failure::lost,
                          std::string("MPI lost a rank: ") + problem + "; start all ranks again");
    bool whole = true;
    for (const auto& message : now.all) whole = whole && !message.empty();
    if (!whole || std::chrono::steady_clock::now() >= now.end) throw silence(answered.get(), deadline);
    all_are_there_ = true;
    return std::move(now.all);
  }

  cluster_error silence(const bool* answered, milliseconds deadline) const {
    std::string silent;
    for (int r = 0; r < size_; ++r)
      if (r != rank_ && !answered[r]) silent += (silent.empty() ? "rank " : ", ") + std::to_string(r);
    return {cluster_failure::lost, (silent.empty() ? "a rank" : silent) + " did not answer within " +
                                       human_seconds(double(deadline.count()) / 1e3) +
                                       "; start all ranks again, or allow a longer deadline"};
  }

  const poolwise_mpi_calls& calls_;
  int rank_ = 0, size_ = 1;
  bool all_are_there_ = true;
};

}  // namespace

launched_rank launched() {
  launched_rank found;
  found.rank = number_in_environment({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}, -1);
  found.has_mpi = found.rank >= 0;
  const int tasks = number_in_environment({"SLURM_NTASKS", "SLURM_NPROCS"}, 1);
  const int world = number_in_environment({"WORLD_SIZE"}, 1);
  if (found.has_mpi) {
    found.ranks = number_in_environment({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}, found.rank + 1);
    found.by = "mpirun";
  } else if (tasks > 1 && std::getenv("SLURM_PROCID") != nullptr) {
    found.rank = number_in_environment({"SLURM_PROCID"}, 0);
    found.ranks = tasks;
    found.by = "Slurm";
  } else if (world > 1 && std::getenv("RANK") != nullptr) {
    found.rank = number_in_environment({"RANK"}, 0);
    found.ranks = world;
    found.by = "torchrun";
  } else {
    return {};
  }
  found.local_rank = number_in_environment(
      {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID", "LOCAL_RANK"}, 0);
  found.local_ranks =
      std::max(1, number_in_environment({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS",
                                         "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE", "LOCAL_WORLD_SIZE"},
                                        1));
  return found;
}

std::unique_ptr<communicator> launched_communicator() {
  const launched_rank found = launched();
  if (found.by.empty()) return std::make_unique<self_communicator>();
  if (!found.has_mpi)
    throw usage_error(found.by + " started " + std::to_string(found.ranks) +
                      " ranks that MPI does not connect; start them by " +
                      (found.by == "Slurm" ? "srun --mpi=pmix or mpirun"
                                           : "mpirun, or call poolwise.distributed from Python"));
  auto all = std::make_unique<mpi_communicator>();
  if (all->size() == 1 && found.ranks > 1)
    throw usage_error(
        "mpirun started " + std::to_string(found.ranks) +
        " ranks, of which MPI finds one; take the mpirun of the MPI that Poolwise was built with");
  return all;
}

}  // namespace poolwise
