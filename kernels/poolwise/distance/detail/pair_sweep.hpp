// The canonical distances of rows to references, but for those that are proven to be far: a tile of quantised
// rows meets a panel of quantised references, products exclude most pairs, and the canonical distance decides
// the rest.
//
// `Pairs` is a kind of distance. It has:
// - factors: of how many matrices a distance is made, 1 or 2; of 2 also a `bias` (find_open_pairs).
// - matrix(side, f): factor f of the rows, or of the references.
// - origin(): the values around which rows are quantised, or null.
// - part(side, facts, place, row), underflow(): a squared distance is at least the parts of its two rows, less
// twice
//   their product, less the underflow.
// - distances(count, row, reference, d2): d2[p] = the canonical squared distance of row(p) and reference(p), of
//   at least one such pair.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/quantised_rows.hpp"

namespace poolwise {

enum class side { rows, references };

/// Distances that are taken together.
inline constexpr index_t pairs_at_once = 128;

/// Facts of one row, or of one reference, in each of its factors.
template <class Pairs>
using factor_facts = std::array<const quantised_facts*, Pairs::factors>;

/// Rows, or references, with all their factors quantised.
template <class Pairs>
class quantised_tile {
 public:
  quantised_tile(const Pairs& pairs, side of, grain fine, index_t most) : side_(of) {
    // The factor before the last is short next to it, and as exact as may be.
    for (int f = 0; f < Pairs::factors; ++f)
      factors_.emplace_back(f + 1 < Pairs::factors ? grain::words : fine, pairs.matrix(of, f).cols, most);
  }

  /// Takes rows at(0), ..., at(count - 1) of their matrices.
  template <class At>
  void load(const Pairs& pairs, index_t count, At&& at) {
    ids_.clear();
    for (index_t i = 0; i < count; ++i) ids_.push_back(at(i));
    factor_facts<Pairs> facts{};
    for (std::size_t f = 0; f < factors_.size(); ++f) {
      const auto matrix = pairs.matrix(side_, int(f));
      factors_[f].clear();
      for (const index_t id : ids_) factors_[f].add(matrix.row(id), pairs.origin());
      facts[f] = &factors_[f].facts();
    }
    parts_.clear();
    for (index_t i = 0; i < count; ++i) parts_.push_back(pairs.part(side_, facts, i, id(i)));
  }

  index_t count() const { return index_t(ids_.size()); }
  index_t id(index_t i) const { return ids_[std::size_t(i)]; }
  double part(index_t i) const { return parts_[std::size_t(i)]; }
  const quantised_rows& factor(std::size_t f) const { return factors_[f]; }

 private:
  side side_;
  std::vector<quantised_rows> factors_;
  std::vector<index_t> ids_;
  std::vector<double> parts_;
};

/// Up to quantised_panel::width references side by side.
template <class Pairs>
struct reference_panel {
  std::array<quantised_panel, Pairs::factors> factors;
  std::array<index_t, quantised_panel::width> ids;
  std::array<float, quantised_panel::width> base;  ///< for find_open_pairs

  explicit reference_panel(const quantised_tile<Pairs>& references) {
    for (std::size_t f = 0; f < factors.size(); ++f) factors[f] = quantised_panel(references.factor(f));
    base.fill(std::numeric_limits<float>::infinity());  // beyond the last, nothing is ever near
    for (index_t j = 0; j < references.count(); ++j) {
      ids[std::size_t(j)] = references.id(j);
      base[std::size_t(j)] = open_base(references.part(j));
    }
  }
};

/// A tile of rows, and how far each of them may reach.
template <class Pairs>
class row_tile : public quantised_tile<Pairs> {
 public:
  row_tile(const Pairs& pairs, grain fine, index_t most)
      : quantised_tile<Pairs>(pairs, side::rows, fine, most), limits_(std::size_t(most)) {}

  /// Distances above `reach` do not matter to row i; below 0, none does.
  void limit(const Pairs& pairs, index_t i, float reach) {
    limits_[std::size_t(i)] = reach < 0 ? -std::numeric_limits<float>::infinity()
                                        : open_limit(this->part(i), reach, pairs.underflow());
  }

  const float* limits() const { return limits_.data(); }

 private:
  std::vector<float> limits_;  // for find_open_pairs
};

/// A thread's room to let tiles of up to `height` rows meet panels.
template <class Pairs>
class pair_sweep {
 public:
  pair_sweep(const Pairs& pairs, index_t height)
      : pairs_(&pairs), open_(std::size_t(height * quantised_panel::width)) {
    for (auto& table : tables_) table.resize(std::size_t(product_height(height) * quantised_panel::width));
  }

  /// Calls decided(row, reference, d2) with the canonical distance of every pair that may be within the limit
  /// of its row, references ascending for each row; it says whether the distance was of use. Then limits those
  /// rows by reach(row), which only `decided` lowers. Returns how many distances were of no use.
  template <class Reach, class Decided>
  index_t meet(row_tile<Pairs>& rows, const reference_panel<Pairs>& panel, Reach&& reach, Decided&& decided) {
    const index_t open = find_open(rows, panel);
    index_t idle = 0;
    for (index_t first = 0; first < open; first += pairs_at_once)
      idle += decide(rows, panel, {open_.data() + first, std::min(open - first, pairs_at_once)}, decided);
    index_t lowered = -1;
    for (index_t p = 0; p < open; ++p)
      if (const index_t i = open_[std::size_t(p)].row; i != std::exchange(lowered, i))
        rows.limit(*pairs_, i, reach(rows.id(i)));
    return idle;
  }

 private:
  index_t find_open(const row_tile<Pairs>& rows, const reference_panel<Pairs>& panel) {
    std::array<quantised_factor, Pairs::factors> factors;
    for (std::size_t f = 0; f < factors.size(); ++f) {
      factors[f] = {&rows.factor(f), &panel.factors[f], tables_[f].data()};
      quantised_products(rows.factor(f), panel.factors[f], tables_[f].data());
    }
    if constexpr (Pairs::factors == 1)
      return find_open_pairs(factors[0], panel.base.data(), rows.limits(), open_.data());
    else
      return find_open_pairs(factors[0], factors[1], pairs_->bias, panel.base.data(), rows.limits(),
                             open_.data());
  }

  template <class Decided>
  index_t decide(const row_tile<Pairs>& rows, const reference_panel<Pairs>& panel,
                 vector_view<const open_pair> pairs, Decided&& decided) const {
    const auto row = [&](index_t p) { return rows.id(pairs[p].row); };
    const auto reference = [&](index_t p) { return panel.ids[pairs[p].place]; };
    float d2[pairs_at_once];
    pairs_->distances(pairs.size, row, reference, d2);
    index_t idle = 0;
    for (index_t p = 0; p < pairs.size; ++p) idle += !decided(row(p), reference(p), d2[p]);
    return idle;
  }

  const Pairs* pairs_;
  std::array<std::vector<float, line_allocator<float>>, Pairs::factors> tables_;
  std::vector<open_pair> open_;
};

/// Squared distances of the rows of two matrices, which are quantised around `origin`.
class plain_pairs {
 public:
  static constexpr int factors = 1;

  plain_pairs(matrix_view<const float> rows, matrix_view<const float> references, std::vector<float> origin)
      : rows_(rows), references_(references), origin_(std::move(origin)), floor_(rows.cols) {}

  matrix_view<const float> matrix(side of, int) const { return of == side::rows ? rows_ : references_; }
  const float* origin() const { return origin_.data(); }
  double underflow() const { return floor_.underflow(); }
  double part(side, const factor_facts<plain_pairs>& facts, index_t place, index_t) const {
    return floor_.part(facts[0]->norm2[std::size_t(place)]);
  }

  template <class Row, class Reference>
  void distances(index_t count, Row&& row, Reference&& reference, float* d2) const {
    const float *one[pairs_at_once], *other[pairs_at_once];
    index_t p = 0;
    do {
      one[p] = rows_.row(row(p));
      other[p] = references_.row(reference(p));
    } while (++p < count);
    canonical_squared_distances(vector_view<const float* const>{one, count}, other, rows_.cols, d2);
  }

 private:
  matrix_view<const float> rows_, references_;
  std::vector<float> origin_;
  distance_floor floor_;
};

}  // namespace poolwise
