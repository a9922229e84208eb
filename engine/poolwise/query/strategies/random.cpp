#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream random_stream{1};

/// Uniform by (seed, round, row): the best k are a uniform sample without replacement.
void score_random(const stage_input& x, vector_view<float> scores) {
  parallel_blocks(host_of(x.on), x.rows(), 4096, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      scores[i] =
          float(random_unit(x.asked->seed, random_stream, std::uint64_t(x.pool_row(i)), x.asked->round));
  });
}

}  // namespace

std::vector<strategy_entry> strategies_of_random() {
  return {{.name = "random",
           .kind = "acquisition",
           .formula = "uniform by (seed, row)",
           .source = "-",
           .on_devices = "none",
           .does = trait::draws,
           .aliases = {"uniform"},
           .score = score_random}};
}

}  // namespace poolwise
