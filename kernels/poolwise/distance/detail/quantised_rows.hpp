// Rows as small integers: dot products at several times the rate of fp32, with a bound of what they miss.
//
// A row y = x - origin becomes scale * q. What is left, r = y - scale * q, is measured, so that for two rows
//
//     y1.y2 = scale1 scale2 (q1.q2) + r1.(scale2 q2) + y1.r2,
//
// and the first term, whose sum of integers is exact, misses the product by at most |r1||y2^| + |y1||r2| with
// y2^ = scale2 q2 (Cauchy and Schwarz). It holds for any scale and any q, well chosen or not.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/distance/detail/dot_table.hpp"

namespace poolwise {

/// How fine the integers are. Bytes take half the time of words, where the CPU multiplies them.
enum class grain { bytes, words };

/// Whether this CPU multiplies bytes (AVX-512 VNNI).
bool has_byte_products();

/// Facts of rows y beside their integers, place by place.
///
/// |scale1 scale2 (q1.q2) - y1.y2| <= loss1 reach2 + reach1 loss2, the left product rounded in fp32 from either
/// side, the bound in fp32 too, and y1.y2 exact or a canonical dot product of y1 and y2. A row with numbers so
/// large that this could leave the range of fp32 has an infinite norm2, and 0 for the others.
struct quantised_facts {
  std::vector<float> scale;
  std::vector<float> reach;  ///< >= |y| and |scale q|
  std::vector<float> loss;   ///< >= |y - scale q|, and the roundings
  std::vector<float> norm2;  ///< |y|^2, relatively within gamma_of(cols + 8), but for an underflow
};

/// Rows that are quantised one after the other.
class quantised_rows {
 public:
  /// Room for `most` rows of `cols` columns.
  quantised_rows(grain fine, index_t cols, index_t most);

  void clear() { rows_ = 0; }

  /// `origin` has `cols` values, or is null for zeros.
  void add(const float* row, const float* origin);

  grain fine() const { return fine_; }
  index_t rows() const { return rows_; }
  /// Integers lie in units of four bytes; the last of a row is filled with zeros.
  index_t units() const { return units_; }
  const std::int32_t* row(index_t i) const { return values_.data() + i * units_; }
  /// Bytes meet the other side's integers + 128: here is -128 times the sum of a row, else 0.
  const std::int32_t* start() const { return start_.data(); }
  const quantised_facts& facts() const { return facts_; }

 private:
  grain fine_;
  index_t cols_, units_, rows_ = 0;
  std::vector<std::int32_t, line_allocator<std::int32_t>> values_;
  std::vector<std::int32_t> start_;
  std::vector<float, line_allocator<float>> shifted_;  // the row at hand, less its origin
  quantised_facts facts_;
};

/// Up to `width` quantised rows side by side: the other factor of a product.
class quantised_panel {
 public:
  static constexpr index_t group = 16, width = 48;

  quantised_panel() = default;
  explicit quantised_panel(const quantised_rows& rows);

  index_t rows() const { return rows_; }
  /// Places, a multiple of `group`; those beyond the rows have integers and facts of 0.
  index_t places() const { return (rows_ + group - 1) / group * group; }
  const std::int32_t* values() const { return values_.data(); }  ///< [units][places]
  const quantised_facts& facts() const { return facts_; }

 private:
  index_t rows_ = 0;
  std::vector<std::int32_t, line_allocator<std::int32_t>> values_;
  quantised_facts facts_;
};

/// Room for that many rows is what quantised_products may read and write.
inline constexpr index_t product_step = 8;
inline index_t product_height(index_t rows) { return (rows + product_step - 1) / product_step * product_step; }

/// table[i * panel.places() + j] = q_i.q_j, rounded to fp32. The table is [product_height(rows), places].
void quantised_products(const quantised_rows& rows, const quantised_panel& panel, float* table);

/// One factor of the pairs that find_open_pairs looks at.
struct quantised_factor {
  const quantised_rows* rows;
  const quantised_panel* panel;
  const float* table;  ///< their products
};

/// A pair of a row and a place of the panel.
struct open_pair {
  std::uint16_t row, place;
};

/// Finds the pairs (i, j) that may have base[j] - 2 p < limit[i], where p = y_i.y_j, exact or canonical; or,
/// for two factors, (a_i.a_j)(h_i.h_j + bias) of such products. The subtraction rounds by up to 2^-24
/// |base[j]|; all else is accounted for. base [places], limit [rows]; pairs [rows * places] are written, rows
/// ascending. Returns their number.
index_t find_open_pairs(const quantised_factor& h, const float* base, const float* limit, open_pair* pairs);
index_t find_open_pairs(const quantised_factor& a, const quantised_factor& h, float bias, const float* base,
                        const float* limit, open_pair* pairs);

/// A float not below x, and one not above it; x within their range.
inline float above(double x) { return float(x) + (std::fabs(float(x)) * 0x1p-22f + 0x1p-149f); }
inline float below(double x) { return -above(-x); }

/// For find_open_pairs, where a squared distance is at least base_part + limit_part - 2 p - underflow: a part
/// is infinite where nothing is known.
inline float open_base(double part) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  return part < infinity ? below(part) : -infinity;
}

/// The pairs that are left out then have a squared distance above d2.
inline float open_limit(double part, float d2, double underflow) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  return part < infinity ? above(double(d2) - part + underflow) : infinity;
}

/// A lower bound of the canonical squared distances of quantised rows.
///
/// With g_k = gamma_of(k), n columns, s = ceil(n/16), x and y from the origin, d = |x - y|^2 exactly and N_x,
/// N_y their norm2 of quantised_facts:
/// - N is within g_(n+8) of a squared norm: d >= (1 - g_(n+8)) (N_x + N_y) - 2 x.y
/// - a term of the canonical distance is rounded s + 6 times: it is at least d - g_(s+6) d, and
///   d <= 2 (|x|^2 + |y|^2) <= 2 (N_x + N_y) / (1 - g_(n+8))
/// - an underflow costs at most 2^-149 for each of 3n squares.
/// So with b = 3 g_(n+8) / (1 - g_(n+8)) it is at least (1 - b) N_x + (1 - b) N_y - 2 x.y - n 2^-147. The code
/// takes 5 for 3, which covers what find_open_pairs rounds of the second term, and its own roundings.
class distance_floor {
 public:
  explicit distance_floor(index_t cols);

  double underflow() const { return underflow_; }

  /// The part of a row in the least that its distances can be; infinite if there is none.
  double part(float norm2) const {
    return keep_ > 0 ? keep_ * double(norm2) : std::numeric_limits<double>::infinity();
  }

 private:
  double keep_, underflow_;
};

/// Chooses the pairs whose distance is taken: those that products of bytes, or of words, leave open, or all.
/// Counts distances taken needlessly. When they cost more than a finer grain, moves to it.
class pair_filter {
 public:
  /// A choice rests on at least `enough` partners a row: the first of all say little of the rest.
  explicit pair_filter(index_t enough = 48) : enough_(enough) {}

  bool direct() const { return step_ == steps::none; }
  grain fine() const { return step_ == steps::bytes && multiplies_bytes_ ? grain::bytes : grain::words; }

  /// So many rows met so many partners, and `idle` of the distances were looked at in vain.
  void count(grain fine, index_t rows, index_t partners, index_t idle);

 private:
  enum class steps { bytes, words, none } step_ = steps::bytes;
  bool multiplies_bytes_ = has_byte_products();
  index_t enough_;
  double met_ = 0, idle_ = 0;  // pairs since the last choice
};

}  // namespace poolwise
