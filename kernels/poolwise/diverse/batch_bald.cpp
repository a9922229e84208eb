#include "poolwise/diverse/batch_bald.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/detail/dot_table.hpp"
#include "poolwise/diverse/detail/exponentials.hpp"
#include "poolwise/diverse/detail/lazy_chain.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "poolwise/topk/topk.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/diverse/batch_bald.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/core/simd-inl.hpp"

#ifndef POOLWISE_DIVERSE_BATCH_BALD_LANES
#define POOLWISE_DIVERSE_BATCH_BALD_LANES
namespace poolwise {
namespace {

// Sums over configurations are kept as so many partial sums, on every target.
constexpr index_t sum_lanes = 8;

}  // namespace
}  // namespace poolwise
#endif

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

inline constexpr int parts = sum_lanes / double_lanes;

/// ln x for normal, positive, finite x, within 3 * 2^-53 of it relatively.
/// x = 2^n (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), and ln(1 + f) = 2 artanh s for s = f / (2 + f): what is
/// left out of its series is below s^22 / 23 < 2^-60 of it.
HWY_INLINE doubles log_normal(doubles x) {
  const hn::RebindToSigned<doubles_tag> i64;
  const auto half_root = hn::Set(i64, 0x3fe6a09e667f3bcd);  // the bits of sqrt(1/2)
  const auto above = hn::Sub(hn::BitCast(i64, x), half_root);
  const doubles n = hn::ConvertTo(doubles_tag(), hn::ShiftRight<52>(above));
  const auto fraction = hn::And(above, hn::Set(i64, 0x000fffffffffffff));
  const doubles f = hn::Sub(hn::BitCast(doubles_tag(), hn::Add(fraction, half_root)), all(1.0));
  const doubles s = hn::Div(f, hn::Add(f, all(2.0)));
  const doubles z = hn::Mul(s, s);
  doubles q = all(1.0 / 21);
  for (int k = 19; k >= 3; k -= 2) q = fma(q, z, all(1.0 / k));
  const doubles twice = hn::Add(s, s);
  const doubles low = fma(n, all(0x1.7f7d1cf79abcap-40), hn::Mul(hn::Mul(twice, z), q));
  return fma(n, all(0x1.62e42fefa38p-1), hn::Add(twice, low));
}

/// sum_m weight[m] H[sum_e belief[e][m] p[.][e]] over a multiple of `sum_lanes` configurations m.
double mean_entropy(const double* weight, const double* const* belief, index_t configurations, const double* p,
                    index_t classes, index_t members) {
  const doubles_tag d;
  doubles sum[parts];
  for (int part = 0; part < parts; ++part) sum[part] = hn::Zero(d);
  for (index_t first = 0; first < configurations; first += sum_lanes)
    for (int part = 0; part < parts; ++part) {
      const index_t m = first + part * double_lanes;
      doubles negative_entropy = hn::Zero(d);
      for (index_t c = 0; c < classes; ++c) {
        doubles q = hn::Mul(hn::Load(d, belief[0] + m), all(p[c * members]));
        for (index_t e = 1; e < members; ++e) q = fma(hn::Load(d, belief[e] + m), all(p[c * members + e]), q);
        // 0 ln 0 = 0, and next to it what is below the normal numbers.
        const doubles log_q = log_normal(hn::Max(q, all(std::numeric_limits<double>::min())));
        negative_entropy = fma(q, log_q, negative_entropy);
      }
      sum[part] = fma(hn::Load(d, weight + m), negative_entropy, sum[part]);
    }
  HWY_ALIGN double total[sum_lanes];
  for (int part = 0; part < parts; ++part) hn::Store(sum[part], d, total + part * double_lanes);
  for (index_t half = sum_lanes / 2; half > 0; half /= 2)
    for (index_t j = 0; j < half; ++j) total[j] += total[j + half];
  return -total[0];
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {
namespace {

HWY_EXPORT(mean_entropy);

constexpr stream outcome_stream{9};

// Stale rows are computed again some at a time, on all threads: by far more logarithms than it takes to hand a
// block of rows to a thread, and by no more rows than chance that the first of them is the pick.
constexpr index_t block_logarithms = 1 << 14;
constexpr index_t blocks_at_once = 4, fewest_at_once = 32, most_at_once = 512;

/// The distributions of a committee, one row at a time.
class committee_rows {
 public:
  committee_rows(const real_cube& x, outputs kind)
      : x_(x), kind_(kind), rows_(rows_of(x)), members_(members_of(x)), classes_(cols_of(x)) {}

  index_t rows() const { return rows_; }
  index_t members() const { return members_; }
  index_t classes() const { return classes_; }

  /// p [classes, members] = the distributions of row i, scaled to sum to 1.
  void read(index_t i, std::vector<double>& p) const {
    std::vector<float> values(std::size_t(members_ * classes_));
    std::visit(
        [&](auto view) {
          float* to = values.data();
          for (index_t e = 0; e < members_; ++e) {
            const auto* const from = view.member(e).row(i);
            for (index_t c = 0; c < classes_; ++c) *to++ = counted(to_float(from[c]));
          }
        },
        x_);
    if (kind_ == outputs::logits) {
      for (float* row = values.data(); row != values.data() + values.size(); row += classes_) {
        const float largest = *std::max_element(row, row + classes_);
        for (index_t c = 0; c < classes_; ++c) row[c] -= largest;
      }
      exponentials(1, values.data(), index_t(values.size()));
    }
    p.resize(values.size());
    for (index_t e = 0; e < members_; ++e) {
      const float* const row = values.data() + e * classes_;
      double sum = 0;
      for (index_t c = 0; c < classes_; ++c) sum += double(row[c]);
      for (index_t c = 0; c < classes_; ++c) p[std::size_t(c * members_ + e)] = double(row[c]) / sum;
    }
  }

 private:
  /// Of a probability its size, as in `score`.
  float counted(float x) const { return kind_ == outputs::logits ? x : std::abs(x); }

  real_cube x_;
  outputs kind_;
  index_t rows_, members_, classes_;
};

/// Configurations of the picks: how likely each is, and what is believed of the members once it is seen.
class configuration_list {
 public:
  using column = std::vector<double, line_allocator<double>>;

  /// No pick: one configuration, and every member is as likely.
  static configuration_list before_any(index_t members) {
    configuration_list one(members);
    one.add(1, std::vector<double>(std::size_t(members), 1 / double(members)));
    one.pad();
    return one;
  }

  /// One configuration a member, each of which gives that member away.
  static configuration_list one_a_member(index_t members) {
    configuration_list list(members);
    for (index_t e = 0; e < members; ++e) {
      std::vector<double> belief(static_cast<std::size_t>(members));
      belief[std::size_t(e)] = 1;
      list.add(1 / double(members), belief);
    }
    list.pad();
    return list;
  }

  index_t size() const { return size_; }

  /// E H[sum_e p(e | configuration) p^e], of p [classes, members].
  double mean_entropy(const std::vector<double>& p) const {
    std::vector<const double*> belief;
    for (const column& of_member : belief_) belief.push_back(of_member.data());
    return HWY_DYNAMIC_DISPATCH(mean_entropy)(weight_.data(), belief.data(), index_t(weight_.size()), p.data(),
                                              index_t(p.size()) / members(), members());
  }

  /// How many configurations of one more pick have a probability above 0; p [classes, members] is its own.
  index_t count_with(const std::vector<double>& p) const {
    index_t count = 0;
    for_each_with(p, [&](double, const std::vector<double>&) { ++count; });
    return count;
  }

  /// All of these.
  configuration_list with(const std::vector<double>& p) const {
    configuration_list list{members()};
    list.reserve(count_with(p));
    for_each_with(p, [&](double weight, const std::vector<double>& belief) { list.add(weight, belief); });
    list.pad();
    return list;
  }

  /// `count` of these by systematic sampling; `unit` in [0, 1) is where it begins.
  configuration_list sampled_with(const std::vector<double>& p, index_t count, double unit) const {
    double whole = 0, reached = 0;
    for_each_with(p, [&](double weight, const std::vector<double>&) { whole += weight; });
    index_t drawn = 0;
    configuration_list list{members()};
    list.reserve(count);
    for_each_with(p, [&](double weight, const std::vector<double>& belief) {
      reached += weight;
      index_t times = 0;
      while (drawn < count && std::min((double(drawn) + unit) / double(count) * whole, whole) <= reached)
        ++drawn, ++times;
      if (times > 0) list.add(double(times) / double(count), belief);
    });
    list.pad();
    return list;
  }

 private:
  explicit configuration_list(index_t members) : belief_(std::size_t(members)) {}

  index_t members() const { return index_t(belief_.size()); }

  /// Shows every configuration with every label of one more pick, in order: its probability and what is
  /// believed of the members then.
  template <class Body>
  void for_each_with(const std::vector<double>& p, Body&& body) const {
    const std::size_t members = belief_.size();
    std::vector<double> belief(members);
    for (std::size_t m = 0; m < std::size_t(size_); ++m)
      for (std::size_t c = 0; c < p.size() / members; ++c) {
        double q = 0;
        for (std::size_t e = 0; e < members; ++e) q += belief[e] = belief_[e][m] * p[c * members + e];
        if (weight_[m] * q < std::numeric_limits<double>::min()) continue;
        for (double& b : belief) b /= q;
        body(weight_[m] * q, std::as_const(belief));
      }
  }

  void reserve(index_t size) {
    const auto padded = std::size_t(blocks_of(size, sum_lanes) * sum_lanes);
    weight_.reserve(padded);
    for (column& of_member : belief_) of_member.reserve(padded);
  }

  void add(double weight, const std::vector<double>& belief) {
    weight_.push_back(weight);
    for (std::size_t e = 0; e < belief.size(); ++e) belief_[e].push_back(belief[e]);
    ++size_;
  }

  void pad() {
    const auto padded = std::size_t(blocks_of(size_, sum_lanes) * sum_lanes);
    weight_.resize(padded);
    for (column& of_member : belief_) of_member.resize(padded);
  }

  index_t size_ = 0;
  column weight_;               // [configurations], then zeros
  std::vector<column> belief_;  // [members][configurations]: p(member | configuration)
};

/// By how much rounding can make a gain, computed after more picks, exceed what was computed after fewer.
///
/// Exactly computed gains never rise: a label says less beside more labels. With u = 2^-53, E members, C
/// classes and at most M configurations, which n = log2 M + 1 picks or less multiply, every weight and belief
/// has n factors and n sums of E terms behind it, and q is one sum of E terms more: they err by k = n (E + 4) +
/// 2 E + C + 4 roundings at most, among them that a distribution sums to 1 but for C of them. A term q ln q
/// errs by (k + 4) u (q |ln q| + q), an entropy, which is at most ln C, by (k + 4 + C) u (1 + ln C), and its
/// mean over configurations by (k + M / 8 + 8) u (1 + ln C) more. A gain is the difference of two such means,
/// and what was computed first may err to one side and what is computed next to the other: four times that.
double rounding_of_gains(index_t members, index_t classes, index_t configurations) {
  const auto e = double(members), c = double(classes), m = double(configurations);
  const double k = (std::log2(m) + 1) * (e + 4) + 2 * e + c + 4;
  return 4 * (2 * k + c + m / double(sum_lanes) + 12) * 0x1p-53 * (1 + std::log(c));
}

/// The gain of a row is what its label says about the members beside the labels of the picks.
///
/// A gain after some of the picks bounds the gain after all of them, and costs less: a row whose gain is stale
/// is computed after the next level of picks, as long as its bound comes first, so that most never meet all
/// configurations.
class joint_information : public gain_model {
 public:
  joint_information(cpu on, const real_cube& x, outputs kind, joint_configurations configurations,
                    std::vector<float> factors)
      : on_(on),
        rows_(x, kind),
        factors_(std::move(factors)),
        most_(std::max<index_t>(1, configurations.most / rows_.classes())),
        samples_(std::min(most_, configurations.samples)),
        seed_(configurations.seed),
        slack_(rounding_of_gains(rows_.members(), rows_.classes(), most_)),
        known_member_(configuration_list::one_a_member(rows_.members())),
        noise_(std::size_t(rows_.rows())),
        gain_(noise_.size()),
        score_(noise_.size()),
        met_(noise_.size()) {
    levels_.push_back({0, configuration_list::before_any(rows_.members())});
    for_all_rows([this](index_t i, const std::vector<double>& p) {
      noise_[std::size_t(i)] = known_member_.mean_entropy(p);
    });
  }

  void sweep(const std::vector<candidate>& latest, const remaining& left) override {
    for (std::size_t j = chained_; j < latest.size(); ++j) take(latest[j].row);
    chained_ = 0;
    draw();
    for (const candidate& pick : latest) score_[std::size_t(pick.row)] = retired;
    for (index_t i = 0; i < rows_.rows(); ++i)
      if (leaves_out(latest, left, i)) score_[std::size_t(i)] = retired;
    for_all_rows([this](index_t i, const std::vector<double>& p) { compute(i, levels_.back(), p); });
    computed_ += index_t(std::count_if(score_.begin(), score_.end(), [](float s) { return s != retired; }));
  }

  std::vector<candidate> best(index_t count) override {
    return best_by_gain(on_, {score_.data(), rows_.rows()}, count);
  }

  std::vector<candidate> chain(const std::vector<candidate>& shortlist, candidate rival,
                               remaining& left) override {
    // Before the first pick all gains are fresh, and in order.
    auto next = std::find_if(shortlist.begin(), shortlist.end(),
                             [&](const candidate& c) { return left.eligible(c.row); });
    std::vector<candidate> picks, fresh;
    if (next == shortlist.end()) return picks;
    fresh.push_back(*next++);
    std::vector<entry> others;
    for (; next != shortlist.end(); ++next) others.push_back({bound(next->row)});
    candidate_heap<entry> bounds(std::move(others));
    if (rival.row >= 0) rival = bound(rival.row);
    while (!fresh.empty()) {
      const auto best = std::min_element(fresh.begin(), fresh.end(), before);
      if (!picks.empty() && !before(*best, rival)) break;
      picks.push_back(*best);
      fresh.erase(best);
      left.take(picks.back().row);
      ++chained_;
      exact_ += left.picks() == 0 && draws_ == 0;
      if (left.picks() == 0) break;  // and nothing need be known of the last pick
      take(picks.back().row);
      if (!undrawn_.empty()) break;
      for (const candidate& c : fresh) bounds.push({bound(c.row)});
      fresh = freshened(bounds, left);
    }
    return picks;
  }

  /// The whole pool: a row that need not be computed again costs nothing.
  width shortlist_width() const override { return {.first = rows_.rows(), .most = rows_.rows()}; }

  index_t computed() const { return computed_; }
  index_t exact() const { return exact_; }

 private:
  struct entry {
    candidate row;
  };

  /// Rows of the heap with their gains after all picks: as many as may come first by their bounds.
  std::vector<candidate> freshened(candidate_heap<entry>& bounds, const remaining& left) {
    std::vector<candidate> fresh;
    candidate leader = no_rival;
    const auto may_lead = [&] {
      return !bounds.empty() && (leader.row < 0 || before(bounds.front().row, leader));
    };
    while (may_lead()) {
      stale_rows stale;
      while (may_lead() && !stale.enough())
        if (const index_t i = bounds.pop().row.row; left.eligible(i))
          stale.add(i, next_level(i).configurations.size() * rows_.classes());
      compute_next(stale);
      for (const index_t i : stale.rows) {
        if (met_[std::size_t(i)] < levels_.back().picks) {
          bounds.push({bound(i)});
          continue;
        }
        ++computed_;
        fresh.push_back({i, score_[std::size_t(i)]});
        if (leader.row < 0 || before(fresh.back(), leader)) leader = fresh.back();
      }
    }
    return fresh;
  }

  template <class Body>
  void for_all_rows(Body&& body) {
    parallel_blocks(on_, rows_.rows(), 64, [&](index_t, index_t begin, index_t end) {
      std::vector<double> p;
      for (index_t i = begin; i < end; ++i) {
        if (score_[std::size_t(i)] == retired) continue;
        rows_.read(i, p);
        body(i, p);
      }
    });
  }

  /// After so many picks since the first, or since the last draw.
  struct level {
    std::uint32_t picks;
    configuration_list configurations;
  };

  /// The gain of row i after the picks of a level.
  void compute(index_t i, const level& after, const std::vector<double>& p) {
    gain_[std::size_t(i)] = std::max(0.0, after.configurations.mean_entropy(p) - noise_[std::size_t(i)]);
    score_[std::size_t(i)] = float(gain_[std::size_t(i)] * factor(i));
    met_[std::size_t(i)] = after.picks;
  }

  /// The first level with a pick that a stale row has not met.
  const level& next_level(index_t i) const {
    return *std::find_if(levels_.begin(), levels_.end(),
                         [&](const level& l) { return l.picks > met_[std::size_t(i)]; });
  }

  /// Rows to be computed together, and how many logarithms they take.
  struct stale_rows {
    std::vector<index_t> rows;
    index_t logarithms = 0;

    void add(index_t row, index_t takes) {
      rows.push_back(row);
      logarithms += takes;
    }
    bool enough() const {
      const auto count = index_t(rows.size());
      return count >= most_at_once ||
             (count >= fewest_at_once && logarithms >= blocks_at_once * block_logarithms);
    }
  };

  /// Computes each row after the next level.
  void compute_next(const stale_rows& stale) {
    const auto count = index_t(stale.rows.size());
    const index_t block =
        std::max<index_t>(1, count * block_logarithms / std::max<index_t>(1, stale.logarithms));
    parallel_blocks(on_, count, block, [&](index_t, index_t begin, index_t end) {
      std::vector<double> p;
      for (index_t j = begin; j < end; ++j) {
        const index_t i = stale.rows[std::size_t(j)];
        rows_.read(i, p);
        compute(i, next_level(i), p);
      }
    });
  }

  void take(index_t row) {
    draw();
    exact_ += draws_ == 0;
    std::vector<double> p;
    rows_.read(row, p);
    if (levels_.back().configurations.count_with(p) > most_) {
      undrawn_ = std::move(p);
      return;
    }
    level next{levels_.back().picks + 1, levels_.back().configurations.with(p)};
    // A level that is more than half as long as the next saves little; picks whose labels are certain add a
    // level each that is no longer.
    while (!levels_.empty() && 2 * levels_.back().configurations.size() > next.configurations.size())
      levels_.pop_back();
    levels_.push_back(std::move(next));
  }

  /// Draws configurations of the picks, where there are too many with the last of them.
  void draw() {
    if (undrawn_.empty()) return;
    const double unit = random_unit(seed_, outcome_stream, draws_);
    levels_ = {{0, levels_.back().configurations.sampled_with(undrawn_, samples_, unit)}};
    undrawn_.clear();
    ++draws_;
  }

  /// Bounds the gain of a row that is computed again after more picks.
  candidate bound(index_t i) const { return {i, float((gain_[std::size_t(i)] + slack_) * factor(i))}; }

  double factor(index_t i) const { return factors_.empty() ? 1.0 : double(factors_[std::size_t(i)]); }

  cpu on_;
  committee_rows rows_;
  std::vector<float> factors_;  // of gains; empty for 1
  index_t most_, samples_;      // configurations of the picks
  std::uint64_t seed_;
  double slack_;
  configuration_list known_member_;
  std::vector<level> levels_;       // each at most half as long as the next
  std::vector<double> noise_;       // the entropy of a row's label once the member is known
  std::vector<double> gain_;        // when it was last computed
  std::vector<float> score_;        // as fp32, or retired
  std::vector<std::uint32_t> met_;  // the picks of the level it was computed from
  std::vector<double> undrawn_;     // of the last pick, where there would be more than most_ with it
  std::size_t chained_ = 0;         // picks that a chain has taken since the last sweep
  index_t computed_ = 0, exact_ = 0;
  std::uint64_t draws_ = 0;
};

void require_distributions(cpu on, const real_cube& x, outputs kind) {
  const index_t members = members_of(x), rows = rows_of(x);
  if (members < 1) throw shape_error("batch_bald: x has 0 members; pass the outputs of at least one");
  if (cols_of(x) < 1) throw shape_error("batch_bald: x has 0 classes; pass at least one");
  std::vector<float> scores(static_cast<std::size_t>(rows));
  const disagreement bald[] = {disagreement::bald};
  score_committee(on, x, kind, bald, {scores.data(), rows, 1});
  const nan_rows invalid = find_nan(on, {scores.data(), rows});
  if (invalid.count == 0) return;
  for (index_t e = 0; e < members; ++e) {
    const auto member = std::visit([e](auto view) { return real_matrix(view.member(e)); }, x);
    const std::string why = why_invalid(member, kind, invalid.first);
    if (!why.empty())
      throw value_error("batch_bald: row " + std::to_string(invalid.first) + " of member " + std::to_string(e) +
                        " " + why + " (" + std::to_string(invalid.count) + " such rows); leave these rows out");
  }
}

void check_positive(const char* what, index_t value) {
  if (value < 1)
    throw value_error("batch_bald: got " + std::to_string(value) + " " + what + "; pass at least 1");
}

}  // namespace

std::unique_ptr<gain_model> batch_bald_model(cpu on, const real_cube& x, outputs kind,
                                             joint_configurations configurations, std::vector<float> factors) {
  return std::make_unique<joint_information>(on, x, kind, configurations, std::move(factors));
}

std::vector<candidate> batch_bald(const where& on, const real_cube& x, outputs kind, const allowance& limit,
                                  joint_configurations configurations, batch_run* run) {
  const cpu host = require_cpu(on, "batch_bald");
  check_positive("configurations", configurations.most);
  check_positive("samples", configurations.samples);
  require_distributions(host, x, kind);
  check_allowance("batch_bald", limit, rows_of(x));
  check_begin("batch_bald", run, limit, rows_of(x));
  joint_information pool(host, x, kind, configurations, gain_factors(limit));
  std::vector<candidate> picks = threshold_batches(pool, limit, run);
  if (run != nullptr) {
    // A batch that was complete is looked through for what of it was exact.
    if (index_t(run->begin.picks.size()) == limit.picks) pool.sweep(picks, remaining(limit));
    run->gains = pool.computed();
    run->exact = pool.exact();
  }
  return picks;
}

}  // namespace poolwise
#endif
