#include "poolwise/diverse/coverage.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/copies.hpp"
#include "poolwise/diverse/detail/lazy_chain.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "poolwise/diverse/detail/row_values.hpp"

namespace poolwise {
namespace {

// The gain of a row that belongs to A. Copies of it, and what a limit rules out, are retired; both are below
// every gain.
constexpr float taken = -2.0f;

constexpr index_t row_block = 256;

/// f(A) = sum_i weight_i max(0, min(max_{j in A} s_ij, upto_i) - from_i).
class coverage {
 public:
  coverage(const similarity_graph& graph, vector_view<const float> weights, const coverage_bounds& within = {})
      : graph_(graph), weights_(weights), upto_(within.upto), covered_(within.from.begin(), within.from.end()) {
    covered_.resize(std::size_t(graph.rows()), 0.0f);
  }

  /// Adds `row` to A; calls lowered(j) for every row whose gain may fall.
  template <class Lowered>
  void take(index_t row, Lowered&& lowered) {
    for (const auto& to : graph_.of(row)) {
      const float before = std::exchange(covered_[to.row], std::max(covered_[to.row], to.similarity));
      if (covered_[to.row] == before || (!upto_.empty() && before >= upto_[to.row])) continue;
      for (const auto& other : graph_.of(to.row))
        if (other.similarity > before) lowered(index_t(other.row));
    }
  }

  /// No term ever rises, nor then a sum of them in the order of the list.
  double gain(index_t row) const {
    double sum = 0;
    for (const auto& to : graph_.of(row))
      if (const double more = double(within(to)) - double(covered_[to.row]); more > 0)
        sum += weights_.empty() ? more : double(weights_[to.row]) * more;
    return sum;
  }

 private:
  float within(const similarity_graph::edge& to) const {
    return upto_.empty() ? to.similarity : std::min(to.similarity, upto_[to.row]);
  }

  const similarity_graph& graph_;
  vector_view<const float> weights_, upto_;
  std::vector<float> covered_;  // by what is most alike in A, or kept out
};

/// f(A) = sum_i weight_i min(sum_{j in A} s_ij, share * sum_j weight_j s_ij).
class saturation {
 public:
  saturation(cpu on, const similarity_graph& graph, double share, vector_view<const float> weights)
      : graph_(graph), weights_(weights), wanted_(std::size_t(graph.rows())) {
    parallel_blocks(on, graph.rows(), row_block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        double sum = 0;
        for (const auto& to : graph_.of(i)) sum += weight(to.row) * double(to.similarity);
        wanted_[std::size_t(i)] = share * sum;
      }
    });
  }

  template <class Lowered>
  void take(index_t row, Lowered&& lowered) {
    for (const auto& to : graph_.of(row)) {
      const double before = wanted_[to.row];
      if (before <= 0) continue;
      const double now = wanted_[to.row] = before - double(to.similarity);
      for (const auto& other : graph_.of(to.row))
        if (double(other.similarity) > now) lowered(index_t(other.row));
    }
  }

  /// No term ever rises, nor then a sum of them in the order of the list.
  double gain(index_t row) const {
    double sum = 0;
    for (const auto& to : graph_.of(row))
      if (const double more = std::min(double(to.similarity), wanted_[to.row]); more > 0)
        sum += weight(to.row) * more;
    return sum;
  }

 private:
  double weight(index_t row) const { return weights_.empty() ? 1.0 : double(weights_[row]); }

  const similarity_graph& graph_;
  vector_view<const float> weights_;
  std::vector<double> wanted_;  // what each row has room for yet
};

/// f(A) = lambda sum_i weight_i sum_{j in A} s_ij - sum_{i in A, j in A} s_ij.
class cut {
 public:
  cut(cpu on, const similarity_graph& graph, double lambda, vector_view<const float> weights)
      : graph_(graph), alone_(std::size_t(graph.rows())), shared_(alone_.size(), 0.0) {
    parallel_blocks(on, graph.rows(), row_block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        double sum = 0;
        for (const auto& to : graph_.of(i))
          sum += (weights.empty() ? 1.0 : double(weights[to.row])) * double(to.similarity);
        alone_[std::size_t(i)] = lambda * sum - 1;  // s_ii
      }
    });
  }

  template <class Lowered>
  void take(index_t row, Lowered&& lowered) {
    for (const auto& to : graph_.of(row)) {
      shared_[to.row] += double(to.similarity);
      lowered(index_t(to.row));
    }
  }

  double gain(index_t row) const { return alone_[std::size_t(row)] - 2 * shared_[std::size_t(row)]; }

 private:
  const similarity_graph& graph_;
  std::vector<double> alone_;   // the gain were A empty
  std::vector<double> shared_;  // with A
};

/// The gains of an objective over a graph, for candidates that are copies of its vertices. What a pick lowers
/// is known at once, by the lists: such gains are stale, bound what they would be, and are computed anew for
/// the candidates that come first, and by a sweep.
template <class Objective>
class graph_model : public gain_model {
 public:
  graph_model(cpu on, index_t vertices, Objective objective, std::span<const index_t> labelled,
              std::vector<float> factors, std::span<const index_t> vertex)
      : on_(on),
        objective_(std::move(objective)),
        factors_(std::move(factors)),
        vertex_(vertex),
        lowered_(std::size_t(vertices), 1),
        gain_(vertex.empty() ? lowered_.size() : vertex.size(), 0.0f),
        as_of_(gain_.size(), 0) {
    for (const index_t v : labelled) {
      take_vertex(v);
      if (vertex_.empty()) gain_[std::size_t(v)] = taken;
    }
  }

  void sweep(const std::vector<candidate>& latest, const remaining& left) override {
    for (const candidate& pick : latest) take(pick.row);
    parallel_blocks(on_, rows(), row_block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        if (gain_[std::size_t(i)] < 0) continue;
        if (leaves_out(latest, left, i))
          gain_[std::size_t(i)] = retired;
        else
          gain(i);
      }
    });
  }

  std::vector<candidate> best(index_t count) override {
    return best_by_gain(on_, {gain_.data(), rows()}, count);
  }

  std::vector<candidate> chain(const std::vector<candidate>& shortlist, candidate rival,
                               remaining& left) override {
    struct entry {
      candidate row;
    };
    std::vector<entry> entries;
    for (const candidate& c : shortlist) entries.push_back({c});
    candidate_heap<entry> waiting(std::move(entries));
    const auto lags = [this](entry& first, const std::vector<candidate>&) {
      const float now = gain(first.row.row);
      // A copy of a pick comes after every rival.
      return std::exchange(first.row.score, now == retired ? no_rival.score : now) != now;
    };
    return lazy_chain(waiting, rival, left, lags, [this](const entry& first) { take(first.row.row); });
  }

 private:
  index_t rows() const { return index_t(gain_.size()); }
  index_t vertex(index_t row) const { return vertex_.empty() ? row : vertex_[std::size_t(row)]; }

  float gain(index_t row) {
    const index_t v = vertex(row);
    if (std::uint32_t& as_of = as_of_[std::size_t(row)]; as_of < lowered_[std::size_t(v)]) {
      as_of = lowered_[std::size_t(v)];
      const double factor = factors_.empty() ? 1.0 : double(factors_[std::size_t(row)]);
      gain_[std::size_t(row)] = as_of == in_batch ? retired : float(objective_.gain(v) * factor);
    }
    return gain_[std::size_t(row)];
  }

  /// Unless it has been: by a chain, or by being given twice.
  void take(index_t row) {
    if (std::exchange(gain_[std::size_t(row)], taken) != taken) take_vertex(vertex(row));
  }

  void take_vertex(index_t v) {
    if (std::exchange(lowered_[std::size_t(v)], in_batch) == in_batch) return;
    ++time_;
    objective_.take(v, [&](index_t other) {
      if (lowered_[std::size_t(other)] != in_batch) lowered_[std::size_t(other)] = time_;
    });
  }

  static constexpr std::uint32_t in_batch = std::numeric_limits<std::uint32_t>::max();

  cpu on_;
  Objective objective_;
  std::vector<float> factors_;          // of gains; empty for 1
  std::span<const index_t> vertex_;     // of each candidate; empty: itself
  std::uint32_t time_ = 1;              // goes on with every vertex that joins A
  std::vector<std::uint32_t> lowered_;  // when the gain of a vertex last fell; in_batch once it is in A
  std::vector<float> gain_;             // of candidates
  std::vector<std::uint32_t> as_of_;    // when each was computed
};

[[noreturn]] void refuse(const char* call, const std::string& what) {
  throw value_error(std::string(call) + ": " + what);
}

void check_labelled(const char* call, const similarity_graph& graph, std::span<const index_t> labelled) {
  for (const index_t row : labelled)
    if (row < 0 || row >= graph.rows())
      refuse(call, "labelled row " + std::to_string(row) + " is not in the graph, which has rows 0 to " +
                       std::to_string(graph.rows() - 1));
}

double sum_of(vector_view<const float> weights) { return std::accumulate(weights.begin(), weights.end(), 0.0); }

void check_weights(cpu on, const char* call, vector_view<const float> weights, index_t rows, float least) {
  check_row_values(on, call, "weights", weights, rows);
  for (index_t i = 0; i < weights.size; ++i)
    if (weights[i] < least)
      refuse(call, "weights of row " + std::to_string(i) + " is " + std::to_string(weights[i]) +
                       "; it needs 1 or more");
  if (sum_of(weights) > double(std::numeric_limits<float>::max()))
    refuse(call, "the weights together leave the range of fp32; scale them down");
}

/// Refuses all that is wrong with a call.
void check(cpu on, const char* call, const similarity_graph& graph, const allowance& limit,
           std::span<const index_t> labelled, vector_view<const float> weights, float least_weight,
           const batch_run* run, std::span<const index_t> vertex) {
  const index_t candidates = vertex.empty() ? graph.rows() : index_t(vertex.size());
  check_labelled(call, graph, labelled);
  check_weights(on, call, weights, graph.rows(), least_weight);
  check_allowance(call, limit, candidates);
  check_vertices(call, vertex, graph.rows(), limit);
  check_begin(call, run, limit, candidates);
}

/// The picks of a model that make_model(factors of the gains) makes.
template <class MakeModel>
std::vector<candidate> picks_of(const similarity_graph& graph, const allowance& limit, batch_run* run,
                                std::span<const index_t> vertex, MakeModel make_model) {
  const index_t candidates = vertex.empty() ? graph.rows() : index_t(vertex.size());
  std::vector<candidate> picks = threshold_batches(*make_model(gain_factors(limit)), limit, run);
  if (!vertex.empty()) add_copies(candidates, limit, picks);
  if (run != nullptr && run->gains_left != nullptr)
    *run->gains_left = gains_beside(*make_model(std::vector<float>()), candidates, limit.barred, picks);
  return picks;
}

}  // namespace

std::unique_ptr<gain_model> facility_location_model(cpu on, const similarity_graph& graph,
                                                    std::span<const index_t> labelled,
                                                    vector_view<const float> weights,
                                                    std::vector<float> factors,
                                                    std::span<const index_t> vertex) {
  return std::make_unique<graph_model<coverage>>(on, graph.rows(), coverage(graph, weights), labelled,
                                                 std::move(factors), vertex);
}

std::unique_ptr<gain_model> graph_cut_model(cpu on, const similarity_graph& graph, double lambda,
                                            std::span<const index_t> labelled, vector_view<const float> weights,
                                            std::vector<float> factors, std::span<const index_t> vertex) {
  return std::make_unique<graph_model<cut>>(on, graph.rows(), cut(on, graph, lambda, weights), labelled,
                                            std::move(factors), vertex);
}

std::vector<candidate> facility_location(const where& on, const similarity_graph& graph, const allowance& limit,
                                         std::span<const index_t> labelled, vector_view<const float> weights,
                                         batch_run* run, std::span<const index_t> vertex) {
  const char* const call = "facility_location";
  const cpu host = require_cpu(on, call);
  check(host, call, graph, limit, labelled, weights, 0, run, vertex);
  return picks_of(graph, limit, run, vertex, [&](std::vector<float> factors) {
    return facility_location_model(host, graph, labelled, weights, std::move(factors), vertex);
  });
}

std::vector<candidate> bounded_coverage(const where& on, const similarity_graph& graph,
                                        const coverage_bounds& bounds, const allowance& limit,
                                        std::span<const index_t> labelled, vector_view<const float> weights,
                                        batch_run* run, std::span<const index_t> vertex) {
  const char* const call = "bounded_coverage";
  const cpu host = require_cpu(on, call);
  check(host, call, graph, limit, labelled, weights, 0, run, vertex);
  check_row_values(host, call, "bounds.from", bounds.from, graph.rows());
  check_row_values(host, call, "bounds.upto", bounds.upto, graph.rows());
  for (const auto& of : {bounds.from, bounds.upto})
    for (index_t i = 0; i < of.size; ++i)
      if (of[i] > 1)
        refuse(call, "a bound of row " + std::to_string(i) + " is " + std::to_string(of[i]) +
                         "; it must be from 0 to 1");
  return picks_of(graph, limit, run, vertex, [&](std::vector<float> factors) {
    return std::make_unique<graph_model<coverage>>(host, graph.rows(), coverage(graph, weights, bounds),
                                                   labelled, std::move(factors), vertex);
  });
}

std::vector<candidate> saturated_coverage(const where& on, const similarity_graph& graph, double share,
                                          const allowance& limit, std::span<const index_t> labelled,
                                          vector_view<const float> weights, batch_run* run,
                                          std::span<const index_t> vertex) {
  const char* const call = "saturated_coverage";
  const cpu host = require_cpu(on, call);
  check(host, call, graph, limit, labelled, weights, 0, run, vertex);
  if (!(share > 0 && share <= 1))
    refuse(call, "share is " + std::to_string(share) + "; it must be above 0, and 1 at most");
  return picks_of(graph, limit, run, vertex, [&](std::vector<float> factors) {
    return std::make_unique<graph_model<saturation>>(
        host, graph.rows(), saturation(host, graph, share, weights), labelled, std::move(factors), vertex);
  });
}

std::vector<candidate> graph_cut(const where& on, const similarity_graph& graph, double lambda,
                                 const allowance& limit, std::span<const index_t> labelled,
                                 vector_view<const float> weights, batch_run* run,
                                 std::span<const index_t> vertex) {
  const char* const call = "graph_cut";
  const cpu host = require_cpu(on, call);
  check(host, call, graph, limit, labelled, weights, 1, run, vertex);
  const double rows = weights.empty() ? double(graph.rows()) : sum_of(weights);
  if (!(lambda >= 2 && lambda * rows <= double(std::numeric_limits<float>::max())))
    refuse(call, "lambda is " + std::to_string(lambda) + "; it needs a number from 2 on, far within fp32");
  return picks_of(graph, limit, run, vertex, [&](std::vector<float> factors) {
    return graph_cut_model(host, graph, lambda, labelled, weights, std::move(factors), vertex);
  });
}

}  // namespace poolwise
