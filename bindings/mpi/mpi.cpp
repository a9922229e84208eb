// Exchanges of bytes by MPI. A library of its own, which is loaded where ranks were started: MPI takes tenths
// of a second to load and start, and an ordinary command has no use for it.
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "poolwise/cluster/detail/mpi_calls.hpp"

namespace {

int rank = 0, ranks = 1;
MPI_Comm all = MPI_COMM_NULL;  // nobody else's messages are in it
char words[MPI_MAX_ERROR_STRING + 1];

constexpr int head_tag = 1;
constexpr std::uint64_t most_at_once = std::uint64_t{1} << 30;  // of all ranks together: MPI counts by int

const char* words_of(int code) {
  int length = 0;
  if (MPI_Error_string(code, words, &length) != MPI_SUCCESS) return "an error without words";
  return words;
}

/// Throws what MPI says.
void check(int code) {
  if (code != MPI_SUCCESS) throw code;
}

/// Thrown where one is not to go on.
struct gave_up {};

/// The buffers and requests of one exchange. Where it is given up MPI may still write to them: they stay.
struct exchange {
  std::vector<std::byte> mine;
  std::uint64_t my_size = 0;
  std::vector<std::uint64_t> sizes;
  std::vector<MPI_Request> requests;
  std::vector<std::byte> part;
  std::vector<int> counts, places;
};

class waiting {
 public:
  waiting(poolwise_mpi_go_on go_on, void* context) : go_on_(go_on), context_(context) {}

  /// Until all requests are done. A core that other ranks need is left to them.
  void until_done(std::vector<MPI_Request>& requests) {
    for (int looks = 0;; ++looks) {
      int done = 0;
      check(MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE));
      if (done != 0) return;
      if (!go_on_(context_)) throw gave_up();
      if (looks < 1000)
        ::sched_yield();
      else
        ::usleep(100);
    }
  }

 private:
  poolwise_mpi_go_on go_on_;
  void* context_;
};

/// Everybody's size, one message a pair of ranks: so one knows who is silent.
void gather_sizes(exchange& x, waiting& wait) {
  x.sizes.assign(std::size_t(ranks), 0);
  x.sizes[std::size_t(rank)] = x.my_size;
  for (int r = 0; r < ranks; ++r) {
    if (r == rank) continue;
    x.requests.emplace_back();
    check(MPI_Irecv(&x.sizes[std::size_t(r)], 1, MPI_UINT64_T, r, head_tag, all, &x.requests.back()));
  }
  for (int r = 0; r < ranks; ++r) {
    if (r == rank) continue;
    x.requests.emplace_back();
    check(MPI_Isend(&x.my_size, 1, MPI_UINT64_T, r, head_tag, all, &x.requests.back()));
  }
  wait.until_done(x.requests);
}

void gather_bytes(exchange& x, waiting& wait, poolwise_mpi_room room, void* context) {
  std::vector<std::byte*> to;
  for (int r = 0; r < ranks; ++r)
    to.push_back(static_cast<std::byte*>(room(context, r, x.sizes[std::size_t(r)])));
  const std::uint64_t largest = *std::max_element(x.sizes.begin(), x.sizes.end());
  const std::uint64_t step = most_at_once / std::uint64_t(ranks);
  for (std::uint64_t from = 0; from < largest; from += step) {
    const auto count_of = [&](std::uint64_t size) {
      return size > from ? int(std::min(step, size - from)) : 0;
    };
    x.counts.clear();
    x.places.clear();
    int place = 0;
    for (const std::uint64_t size : x.sizes) {
      x.counts.push_back(count_of(size));
      x.places.push_back(place);
      place += x.counts.back();
    }
    x.part.resize(std::size_t(place));
    x.requests.assign(1, MPI_REQUEST_NULL);
    check(MPI_Iallgatherv(x.mine.data() + std::min<std::uint64_t>(from, x.my_size), count_of(x.my_size),
                          MPI_BYTE, x.part.data(), x.counts.data(), x.places.data(), MPI_BYTE, all,
                          x.requests.data()));
    wait.until_done(x.requests);
    for (int r = 0; r < ranks; ++r)
      std::copy_n(x.part.data() + x.places[std::size_t(r)], x.counts[std::size_t(r)],
                  to[std::size_t(r)] + from);
  }
}

const char* start(int* my_rank, int* size) {
  int before = 0, level = MPI_THREAD_SINGLE;
  try {
    check(MPI_Initialized(&before));
    if (before == 0) check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level));
    check(MPI_Comm_dup(MPI_COMM_WORLD, &all));
    check(MPI_Comm_set_errhandler(all, MPI_ERRORS_RETURN));
    check(MPI_Comm_rank(all, &rank));
    check(MPI_Comm_size(all, &ranks));
  } catch (const int code) {
    return words_of(code);
  }
  *my_rank = rank;
  *size = ranks;
  return nullptr;
}

const char* gather(const void* mine, std::uint64_t bytes, poolwise_mpi_room room, poolwise_mpi_go_on go_on,
                   void* context, bool* answered) {
  auto x = std::make_unique<exchange>();
  const auto* const from = static_cast<const std::byte*>(mine);
  x->mine.assign(from, from + bytes);
  x->my_size = bytes;
  waiting wait(go_on, context);
  std::fill_n(answered, ranks, false);
  try {
    gather_sizes(*x, wait);
    std::fill_n(answered, ranks, true);
    gather_bytes(*x, wait, room, context);
  } catch (const int code) {
    x.release();
    return words_of(code);
  } catch (const gave_up&) {
    // A message of Poolwise is never empty.
    for (int r = 0; r < ranks; ++r) answered[r] = x->sizes[std::size_t(r)] > 0;
    x.release();
  }
  return nullptr;
}

void stop(bool all_are_there) {
  int ended = 0;
  if (all_are_there && MPI_Finalized(&ended) == MPI_SUCCESS && ended == 0) MPI_Finalize();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const poolwise_mpi_calls* poolwise_mpi() {
  static constexpr poolwise_mpi_calls calls{poolwise::mpi_calls_version, start, gather, stop};
  return &calls;
}
