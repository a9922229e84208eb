// Lists of neighbours while they are made.
#pragma once

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"

namespace poolwise {

/// Orders as the lists are ordered: nearer first, ties to the lower reference.
using neighbour = std::pair<float, index_t>;

/// The `most` first of all that it is offered. Those that are too many leave together, when they are as many.
class nearest_kept {
 public:
  explicit nearest_kept(index_t most) : most_(std::size_t(most)) {}

  void offer(neighbour one) {
    if (!(one < last_)) return;
    if (kept_.empty()) kept_.reserve(2 * most_);
    kept_.push_back(one);
    if (kept_.size() == 2 * most_) drop_farthest();
  }

  /// References from `first` on are kept up to this distance; -1 where none is.
  float reach(index_t first) const { return last_.first > 0 || first < last_.second ? last_.first : -1; }

  /// Writes them in order, and -1 at an infinite distance where fewer were offered. d2 may be null.
  void write(index_t* which, float* d2) {
    std::sort(kept_.begin(), kept_.end());
    kept_.resize(most_, {std::numeric_limits<float>::infinity(), -1});
    for (std::size_t n = 0; n < most_; ++n) {
      which[n] = kept_[n].second;
      if (d2 != nullptr) d2[n] = kept_[n].first;
    }
  }

 private:
  static constexpr neighbour beyond{std::numeric_limits<float>::infinity(),
                                    std::numeric_limits<index_t>::max()};

  void drop_farthest() {
    const auto last = kept_.begin() + std::ptrdiff_t(most_ - 1);
    std::nth_element(kept_.begin(), last, kept_.end());
    last_ = *last;
    kept_.resize(most_);
  }

  std::size_t most_;
  std::vector<neighbour> kept_;
  neighbour last_ = beyond;  // what comes after it is not kept
};

/// Where the lists go.
struct neighbour_lists {
  matrix_view<index_t> which;
  matrix_view<float> d2;  ///< or empty

  void write(index_t row, nearest_kept& kept) const {
    kept.write(which.row(row), d2.data == nullptr ? nullptr : d2.row(row));
  }
};

/// Refuses, in the name of `call`, lists that are not one a point, or of more neighbours than there are others.
void check_knn_lists(const char* call, matrix_view<const float> points, const neighbour_lists& to);

/// knn_graph_ivf() of arrays in host memory.
void graph_by_cells(cpu on, finite_rows points, finite_rows centroids, index_t probes,
                    const neighbour_lists& to);

}  // namespace poolwise
