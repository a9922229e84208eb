#include "poolwise/annotate/inference.hpp"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

constexpr double least = 1e-10;  // of a probability: what never happened may still happen
constexpr index_t entries_at_a_time = 4096;

void require_columns(const answer_columns& answers) {
  if (answers.item.size() != answers.annotator.size() || answers.item.size() != answers.label.size())
    throw shape_error("dawid_skene: columns of " + std::to_string(answers.item.size()) + " items, " +
                      std::to_string(answers.annotator.size()) + " annotators and " +
                      std::to_string(answers.label.size()) + " labels; pass one of each an answer");
  const auto within = [](const std::vector<std::int32_t>& column, std::size_t names, const char* what) {
    for (const std::int32_t one : column)
      if (one < 0 || std::size_t(one) >= names)
        throw value_error(std::string("dawid_skene: an answer has the ") + what + " " + std::to_string(one) +
                          ", and there are " + std::to_string(names) + "; pass places among the names");
  };
  within(answers.item, answers.items.size(), "item");
  within(answers.annotator, answers.annotators.size(), "annotator");
  within(answers.label, answers.labels.size(), "label");
}

void require_options(const answer_columns& answers, const inference_options& options) {
  const std::size_t items = answers.items.size(), classes = answers.labels.size(),
                    entries = answers.annotators.size() * classes * classes;
  if (!options.known.empty() && options.known.size() != items)
    throw shape_error("dawid_skene: known has " + std::to_string(options.known.size()) +
                      " places and there are " + std::to_string(items) + " items; pass one an item");
  for (const std::int32_t one : options.known)
    if (one < -1 || one >= std::int32_t(classes))
      throw value_error("dawid_skene: an item is known to be of class " + std::to_string(one) + " of " +
                        std::to_string(classes) + "; pass -1 where it is not known");
  if (!options.expected.empty() && options.expected.size() != entries)
    throw shape_error("dawid_skene: expected has " + std::to_string(options.expected.size()) +
                      " entries and there are " + std::to_string(entries) +
                      " of annotators, classes and labels; pass all, or none");
  const auto is_count = [](double x) { return x >= 0 && std::isfinite(x); };
  if (!is_count(options.pooled) || !std::all_of(options.expected.begin(), options.expected.end(), is_count))
    throw value_error("dawid_skene: a number of answers more is negative or no number; pass counts from 0 up");
  for (const soft_answers& one : options.soft) {
    if (one.probs.rows != index_t(items) || one.probs.cols != index_t(classes))
      throw shape_error("dawid_skene: a classifier's probabilities are " +
                        shape_text({one.probs.rows, one.probs.cols}) + "; pass " +
                        shape_text({index_t(items), index_t(classes)}));
    if (one.annotator < 0 || std::size_t(one.annotator) >= answers.annotators.size())
      throw value_error("dawid_skene: a classifier is annotator " + std::to_string(one.annotator) + " of " +
                        std::to_string(answers.annotators.size()) + "; add its name to the annotators");
  }
}

/// Answers by item.
struct by_item {
  std::vector<index_t> begin;        // [items + 1]
  std::vector<std::uint32_t> entry;  // annotator x classes + label
};

by_item sorted(const answer_columns& answers) {
  by_item all;
  const auto classes = std::uint64_t(answers.labels.size());
  if (answers.annotators.size() * classes > std::numeric_limits<std::uint32_t>::max())
    throw value_error("dawid_skene: more than 2^32 annotators by labels; leave out those without answers");
  all.begin.assign(answers.items.size() + 1, 0);
  for (const std::int32_t item : answers.item) ++all.begin[std::size_t(item) + 1];
  for (std::size_t i = 1; i < all.begin.size(); ++i) all.begin[i] += all.begin[i - 1];
  std::vector<index_t> next(all.begin.begin(), all.begin.end() - 1);
  all.entry.resize(answers.item.size());
  for (std::size_t a = 0; a < answers.item.size(); ++a)
    all.entry[std::size_t(next[std::size_t(answers.item[a])]++)] =
        std::uint32_t(std::uint64_t(answers.annotator[a]) * classes + std::uint64_t(answers.label[a]));
  return all;
}

/// The rounds of EM. Tables of annotators are [annotators, labels said, classes] here: a class's neighbours lie
/// side by side where an answer reads them.
class rounds {
 public:
  rounds(cpu on, const answer_columns& answers, const inference_options& options, inference& result)
      : on_(on), options_(options), answers_(sorted(answers)), result_(result) {
    items_ = result.items = index_t(answers.items.size());
    classes_ = result.classes = index_t(answers.labels.size());
    result.annotators = index_t(answers.annotators.size());
    entries_ = result.annotators * classes_ * classes_;
    result.posterior.assign(std::size_t(items_ * classes_), 0);
    result.shares.assign(std::size_t(classes_), 0);
    // A block has a table of its own: their number hangs on the problem alone.
    const index_t blocks =
        std::clamp<index_t>(index_t(answers.item.size()) / std::max<index_t>(1, 4 * entries_), 1, 64);
    block_ = std::max<index_t>(1, (items_ + blocks - 1) / blocks);
    constexpr index_t worth_a_thread = 500'000;  // sums of a round
    if (index_t(answers.item.size()) * classes_ + entries_ < worth_a_thread) on_.threads = 1;
  }

  void run() {
    if (items_ == 0 || classes_ == 0) return;
    count_votes();
    learn();
    for (; result_.rounds < options_.most_rounds && !result_.converged; ++result_.rounds) {
      result_.converged = judge() <= options_.tolerance;
      learn();
    }
    keep();
  }

  void count_votes() {
    parallel_blocks(on_, items_, block_, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        double* const of = row(i);
        each_answer(i, [&](std::uint32_t entry) { of[entry % std::uint32_t(classes_)] += 1; });
        each_soft(i, [&](index_t, const float* probs) {
          for (index_t c = 0; c < classes_; ++c) of[c] += double(probs[c]);
        });
        double sum = 0;
        for (index_t c = 0; c < classes_; ++c) sum += of[c];
        for (index_t c = 0; c < classes_; ++c) of[c] = sum > 0 ? of[c] / sum : 1 / double(classes_);
        set_known(i);
      }
    });
  }

 private:
  double* row(index_t item) { return result_.posterior.data() + item * classes_; }

  template <class Visit>
  void each_answer(index_t item, Visit visit) const {
    for (index_t a = answers_.begin[std::size_t(item)]; a < answers_.begin[std::size_t(item) + 1]; ++a)
      visit(answers_.entry[std::size_t(a)]);
  }
  template <class Visit>
  void each_soft(index_t item, Visit visit) const {
    for (const soft_answers& one : options_.soft) {
      const float* const probs = one.probs.row(item);
      if (std::none_of(probs, probs + classes_, [](float p) { return std::isnan(p); }))
        visit(index_t(one.annotator), probs);
    }
  }

  void set_known(index_t item) {
    if (options_.known.empty() || options_.known[std::size_t(item)] < 0) return;
    std::fill_n(row(item), classes_, 0.0);
    row(item)[options_.known[std::size_t(item)]] = 1;
  }

  /// Adds the classes' weights at each answer to a table: weights(p, entry, into) may write others than p into
  /// `into`, and returns which of the two counts. And the classes' probabilities to shares.
  template <class Weights>
  void add_up(std::vector<double>& table, std::vector<double>& shares, Weights weights) {
    const index_t blocks = blocks_of(items_, block_);
    std::vector<std::vector<double>> parts(static_cast<std::size_t>(blocks));
    parallel_blocks(on_, items_, block_, [&](index_t b, index_t begin, index_t end) {
      std::vector<double>& part = parts[std::size_t(b)];
      part.assign(std::size_t(entries_ + classes_), 0);
      double* const sums = part.data() + entries_;
      std::vector<double> own(static_cast<std::size_t>(classes_));
      const auto add = [&](const double* p, index_t entry, double share) {
        const double* const of = weights(p, entry, own.data());
        double* const into = part.data() + entry * classes_;
        for (index_t c = 0; c < classes_; ++c) into[c] += share * of[c];
      };
      for (index_t i = begin; i < end; ++i) {
        const double* const p = row(i);
        for (index_t c = 0; c < classes_; ++c) sums[c] += p[c];
        each_answer(i, [&](std::uint32_t entry) { add(p, index_t(entry), 1); });
        each_soft(i, [&](index_t annotator, const float* probs) {
          for (index_t said = 0; said < classes_; ++said)
            add(p, annotator * classes_ + said, double(probs[said]));
        });
      }
    });
    std::vector<double> sums(std::size_t(entries_ + classes_), 0);
    parallel_blocks(on_, entries_ + classes_, entries_at_a_time, [&](index_t, index_t begin, index_t end) {
      for (const std::vector<double>& part : parts)
        for (index_t e = begin; e < end; ++e) sums[std::size_t(e)] += part[std::size_t(e)];
    });
    shares.assign(sums.begin() + entries_, sums.end());
    sums.resize(std::size_t(entries_));
    table = std::move(sums);
  }

  double& at(std::vector<double>& table, index_t annotator, index_t is, index_t said) const {
    return table[std::size_t((annotator * classes_ + said) * classes_ + is)];
  }

  /// Answers more, of each row: those expected, and those of the pool of all annotators.
  void add_priors() {
    more_.assign(std::size_t(entries_), 0);
    if (!options_.expected.empty())
      for (index_t k = 0; k < result_.annotators; ++k)
        for (index_t is = 0; is < classes_; ++is)
          for (index_t said = 0; said < classes_; ++said)
            at(more_, k, is, said) = options_.expected[std::size_t((k * classes_ + is) * classes_ + said)];
    if (options_.pooled == 0) return;
    for (index_t is = 0; is < classes_; ++is) {
      std::vector<double> pool(std::size_t(classes_), 0.3 / double(std::max<index_t>(1, classes_ - 1)));
      pool[std::size_t(is)] = 0.7;  // of a class that nobody was asked about yet
      double sum = 0;
      for (index_t said = 0; said < classes_; ++said) {
        for (index_t k = 0; k < result_.annotators; ++k) pool[std::size_t(said)] += at(counts_, k, is, said);
        sum += pool[std::size_t(said)];
      }
      for (index_t said = 0; said < classes_; ++said)
        for (index_t k = 0; k < result_.annotators; ++k)
          at(more_, k, is, said) += options_.pooled * pool[std::size_t(said)] / sum;
    }
  }

  /// One accuracy an annotator, whatever the class: right answers on the diagonal, the others spread evenly.
  void level_out(index_t k, std::vector<double>& table) const {
    double right = 0, all = 0;
    for (index_t said = 0; said < classes_; ++said)
      for (index_t is = 0; is < classes_; ++is) {
        all += at(table, k, is, said);
        if (is == said) right += at(table, k, is, said);
      }
    const double others = double(std::max<index_t>(1, classes_ - 1));
    for (index_t said = 0; said < classes_; ++said)
      for (index_t is = 0; is < classes_; ++is)
        at(table, k, is, said) = (is == said ? right : (all - right) / others) / double(classes_);
  }

  /// The M step: confusions and shares out of the classes' probabilities.
  void learn() {
    std::vector<double> shares;
    add_up(counts_, shares, [](const double* p, index_t, double*) { return p; });
    add_priors();
    for (index_t c = 0; c < classes_; ++c)
      result_.shares[std::size_t(c)] = shares[std::size_t(c)] / double(items_);
    logs_.resize(std::size_t(entries_));
    parallel_blocks(on_, result_.annotators, 16, [&](index_t, index_t begin, index_t end) {
      std::vector<double> table(static_cast<std::size_t>(entries_ > 0 ? classes_ * classes_ : 0));
      for (index_t k = begin; k < end; ++k) {
        double* const own = logs_.data() + k * classes_ * classes_;
        for (index_t e = 0; e < classes_ * classes_; ++e)
          own[e] = counts_[std::size_t(k * classes_ * classes_ + e)] +
                   more_[std::size_t(k * classes_ * classes_ + e)];
        if (options_.skills == skill_model::one_coin) level_out(k, logs_);
        for (index_t is = 0; is < classes_; ++is) {
          double sum = 0;
          for (index_t said = 0; said < classes_; ++said) {
            double& one = at(logs_, k, is, said);
            one = std::max(one, least);
            sum += one;
          }
          for (index_t said = 0; said < classes_; ++said) {
            double& one = at(logs_, k, is, said);
            one = fixed_log(one / sum);
          }
        }
      }
    });
  }

  /// The E step. Returns how far the probabilities moved, in the mean.
  double judge() {
    std::vector<double> prior(static_cast<std::size_t>(classes_));
    for (index_t c = 0; c < classes_; ++c)
      prior[std::size_t(c)] = fixed_log(std::max(least, result_.shares[std::size_t(c)]));
    const index_t blocks = blocks_of(items_, block_);
    std::vector<double> moved(std::size_t(blocks), 0), likelihood(std::size_t(blocks), 0);
    parallel_blocks(on_, items_, block_, [&](index_t b, index_t begin, index_t end) {
      std::vector<double> log_p(static_cast<std::size_t>(classes_)), before(static_cast<std::size_t>(classes_));
      for (index_t i = begin; i < end; ++i) {
        double* const p = row(i);
        std::copy_n(p, classes_, before.begin());
        log_p = prior;
        each_answer(i, [&](std::uint32_t entry) {
          const double* const logs = logs_.data() + index_t(entry) * classes_;
          for (index_t c = 0; c < classes_; ++c) log_p[std::size_t(c)] += logs[c];
        });
        each_soft(i, [&](index_t annotator, const float* probs) {
          for (index_t said = 0; said < classes_; ++said) {
            const double* const logs = logs_.data() + (annotator * classes_ + said) * classes_;
            for (index_t c = 0; c < classes_; ++c) log_p[std::size_t(c)] += double(probs[said]) * logs[c];
          }
        });
        const double largest = *std::max_element(log_p.begin(), log_p.end());
        double sum = 0;
        for (index_t c = 0; c < classes_; ++c) sum += p[c] = fixed_exp(log_p[std::size_t(c)] - largest);
        for (index_t c = 0; c < classes_; ++c) p[c] /= sum;
        const bool is_known = !options_.known.empty() && options_.known[std::size_t(i)] >= 0;
        likelihood[std::size_t(b)] +=
            is_known ? log_p[std::size_t(options_.known[std::size_t(i)])] : largest + fixed_log(sum);
        set_known(i);
        for (index_t c = 0; c < classes_; ++c) moved[std::size_t(b)] += std::abs(p[c] - before[std::size_t(c)]);
      }
    });
    double all = 0;
    result_.log_likelihood = 0;
    for (index_t b = 0; b < blocks; ++b) {
      all += moved[std::size_t(b)];
      result_.log_likelihood += likelihood[std::size_t(b)];
    }
    return all / double(items_);
  }

  /// Into the order that callers see: classes, then labels said.
  void keep() {
    std::vector<double> doubts, none;
    // What an annotator's own answer says of the class is no evidence of whether that answer is right.
    add_up(doubts, none, [&](const double* p, index_t entry, double* others) {
      const double* const logs = logs_.data() + entry * classes_;
      double sum = 0;
      for (index_t c = 0; c < classes_; ++c) sum += others[c] = p[c] * fixed_exp(-logs[c]);
      for (index_t c = 0; c < classes_; ++c) {
        const double q = sum > 0 ? others[c] / sum : 0;
        others[c] = q * (1 - q);
      }
      return others;
    });
    for (std::vector<double>* into : {&result_.confusion, &result_.counts, &result_.doubts, &result_.more})
      into->resize(std::size_t(entries_));
    for (index_t k = 0; k < result_.annotators; ++k)
      for (index_t is = 0; is < classes_; ++is)
        for (index_t said = 0; said < classes_; ++said) {
          const auto place = std::size_t((k * classes_ + is) * classes_ + said);
          result_.confusion[place] = fixed_exp(at(logs_, k, is, said));
          result_.counts[place] = at(counts_, k, is, said);
          result_.doubts[place] = at(doubts, k, is, said);
          result_.more[place] = at(more_, k, is, said);
        }
  }

  cpu on_;
  const inference_options& options_;
  by_item answers_;
  inference& result_;
  index_t items_ = 0, classes_ = 0, entries_ = 0, block_ = 1;
  std::vector<double> counts_, more_, logs_;
};

/// The Beta posterior of a share: `hits` in `all` soft trials, a prior, and `lost`: the squares that doubt
/// takes.
struct beta_posterior {
  double mean = 0, trials = 0, left = 0;  ///< trials: with the prior's; left: without

  beta_posterior(double hits, double all, double more_hits, double more_all, double lost) {
    // Jeffreys' where there is no prior.
    const double a = more_all > 0 ? more_hits : 0.5, prior = more_all > 0 ? more_all : 1;
    const double middle = (hits + a) / (all + prior);
    const double information = lost / std::max(middle * (1 - middle), least);
    left = std::max(all - information, 0.01 * all);
    trials = prior + left;
    mean = (a + left * (all > 0 ? hits / all : 0)) / trials;
  }
  double variance() const { return mean * (1 - mean) / (trials + 1); }
};

interval beta_interval(double mean, double trials, double level) {
  const boost::math::beta_distribution<> known(std::max(mean * trials, 1e-6),
                                               std::max((1 - mean) * trials, 1e-6));
  const double tail = (1 - level) / 2;
  return {boost::math::quantile(known, tail), boost::math::quantile(boost::math::complement(known, tail))};
}

/// Of one entry of a row of counts.
beta_posterior posterior_of(const inference& of, index_t annotator, index_t is, index_t said) {
  double all = 0, more_all = 0, doubt = 0;
  const auto row = std::size_t((annotator * of.classes + is) * of.classes);
  for (index_t s = 0; s < of.classes; ++s) {
    all += of.counts[row + std::size_t(s)];
    more_all += of.more[row + std::size_t(s)];
    doubt += of.doubts[row + std::size_t(s)];
  }
  const auto place = row + std::size_t(said);
  const double share = of.confusion[place], hit = of.doubts[place];
  return {of.counts[place], all, of.more[place], more_all,
          hit * (1 - share) * (1 - share) + (doubt - hit) * share * share};
}

}  // namespace

std::int32_t inference::label_of(index_t item) const {
  const double* const p = posterior.data() + item * classes;
  return std::int32_t(std::max_element(p, p + classes) - p);
}

double inference::sureness_of(index_t item) const {
  return posterior[std::size_t(item * classes + label_of(item))];
}

inference::rate inference::accuracy(index_t annotator, double level) const {
  std::vector<double> given(static_cast<std::size_t>(classes), 0.0);  // answers about each class
  double all = 0, mean = 0, variance = 0;
  rate found;
  for (index_t is = 0; is < classes; ++is)
    for (index_t said = 0; said < classes; ++said) {
      const double count = counts[std::size_t((annotator * classes + is) * classes + said)];
      given[std::size_t(is)] += count;
      all += count;
    }
  for (index_t is = 0; is < classes; ++is) {
    const double weight = all > 0 ? given[std::size_t(is)] / all : shares[std::size_t(is)];
    const beta_posterior row = posterior_of(*this, annotator, is, is);
    found.value += weight * confusion[std::size_t((annotator * classes + is) * classes + is)];
    mean += weight * row.mean;
    variance += weight * weight * row.variance();
    found.answers += row.left;
  }
  found.bounds = beta_interval(mean, std::max(mean * (1 - mean) / std::max(variance, least) - 1, 1.0), level);
  return found;
}

inference::rate inference::confusion_rate(index_t annotator, std::int32_t is, std::int32_t said,
                                          double level) const {
  const beta_posterior one = posterior_of(*this, annotator, is, said);
  return {confusion[std::size_t((annotator * classes + is) * classes + said)],
          beta_interval(one.mean, one.trials, level), one.left};
}

inference majority_vote(const answer_columns& answers, const inference_options& options) {
  require_columns(answers);
  require_options(answers, options);
  inference result;
  rounds all(cpu{.threads = 1}, answers, options, result);
  all.count_votes();
  return result;
}

inference dawid_skene(cpu on, const answer_columns& answers, const inference_options& options) {
  require_columns(answers);
  require_options(answers, options);
  inference result;
  rounds(on, answers, options, result).run();
  return result;
}

answer_columns answers_about(const std::string& label, const answer_columns& sets, char separator) {
  answer_columns found{.items = sets.items,
                       .annotators = sets.annotators,
                       .labels = {"no", "yes"},
                       .item = sets.item,
                       .annotator = sets.annotator,
                       .label = {}};
  const std::string mark(1, separator);
  std::vector<std::int32_t> holds;
  for (const std::string& set : sets.labels)
    holds.push_back((mark + set + mark).find(mark + label + mark) != std::string::npos ? 1 : 0);
  for (const std::int32_t one : sets.label) found.label.push_back(holds[std::size_t(one)]);
  return found;
}

}  // namespace poolwise
