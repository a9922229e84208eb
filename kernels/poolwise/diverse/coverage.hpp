// Batches that stand for the pool: greedy selections over a graph of who resembles whom, in place of all pairs.
#pragma once

#include <span>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/graph/similarity.hpp"

namespace poolwise {

/// Facility location: f(A) = sum_i weight_i max_{j in A} s_ij, i over all rows of the graph. Over radius_graph,
/// where s_ij is 1 within the radius, it is the number of rows covered: maximum coverage, as in ProbCover.
///
/// labelled  rows of the graph that belong to A from the start; none of them is picked
/// weights   [rows] >= 0, what each row counts for, or empty for 1
/// vertex    [candidates] the row of the graph that each candidate is a copy of; -1 for one that `limit` bars.
///           Limits, picks and `run` then count candidates. Copies of what is in A gain nothing, of labelled
///           rows too, and come last, in order. Empty: the rows of the graph are the candidates.
/// returns   picks in order; score = what f gained by the pick, never rising. Fewer than asked when rows or
///           budget run out. Never a row twice, even when all gains are 0.
/// throws    shape_error; value_error (a labelled row or a vertex out of range; a NaN or negative weight,
///           weights whose sum leaves the range of fp32; see check_allowance); no_cuda_error.
/// A gain is the sum of weight_i max(0, s_ij - max_{l in A} s_il), in double over the row's list, rounded to
/// fp32; rows that then tie go to the lower. The picks are those of a loop that tries every row every time, for
/// any number of threads. At least 1 - 1/e of the best f of as many picks, where there are no costs and quotas.
/// The exact threshold batch: a sweep reads the lists of the rows whose gains picks may have lowered. Memory
/// beside the graph: 8 B a row and 8 B a candidate.
/// Cornuejols et al. 1977; Nemhauser et al. 1978; ProbCover: Yehuda et al., NeurIPS 2022.
std::vector<candidate> facility_location(const where& on, const similarity_graph& graph, const allowance& limit,
                                         std::span<const index_t> labelled = {},
                                         vector_view<const float> weights = {}, batch_run* run = nullptr,
                                         std::span<const index_t> vertex = {});

/// Between which similarities a row counts as covered more. Both may be empty, for 0 and for 1.
struct coverage_bounds {
  vector_view<const float> from = {};  ///< [rows] from 0 to 1: less than that is nothing
  vector_view<const float> upto = {};  ///< [rows] from 0 to 1: more than that is no more
};

/// Facility location within bounds: f(A) = sum_i weight_i max(0, min(max_{j in A} s_ij, upto_i) - from_i). With
/// `upto` a similarity to queries, and `from` one to what is to be kept out, it is the (conditional) mutual
/// information of facility location (Kothawade et al., NeurIPS 2021). All else as of facility_location;
/// value_error for a bound out of range.
std::vector<candidate> bounded_coverage(const where& on, const similarity_graph& graph,
                                        const coverage_bounds& bounds, const allowance& limit,
                                        std::span<const index_t> labelled = {},
                                        vector_view<const float> weights = {}, batch_run* run = nullptr,
                                        std::span<const index_t> vertex = {});

/// Saturated coverage: f(A) = sum_i weight_i min(sum_{j in A} s_ij, share * sum_j weight_j s_ij), j over all
/// rows of the graph: a row that enough picks are like asks for no more.
///
/// share     from 0 to 1, above 0
/// labelled, weights, vertex, returns, throws  as facility_location; value_error for another share.
/// Sums are in double. Memory beside the graph: 16 B a row and 8 B a candidate. Lin & Bilmes, ACL 2011.
std::vector<candidate> saturated_coverage(const where& on, const similarity_graph& graph, double share,
                                          const allowance& limit, std::span<const index_t> labelled = {},
                                          vector_view<const float> weights = {}, batch_run* run = nullptr,
                                          std::span<const index_t> vertex = {});

/// Graph cut: f(A) = lambda sum_i weight_i sum_{j in A} s_ij - sum_{i in A, j in A} s_ij, the first i over all
/// rows of the graph: picks resemble much of the pool, and little of each other.
///
/// lambda    >= 2, for which f never falls by a pick: then a gain,
///           lambda sum_i weight_i s_ij - s_jj - 2 sum_{l in A} s_lj, is at least s_jj. (Others divide f by
///           lambda, and ask for at most 1/2.)
/// weights   [rows] >= 1, how often each row is there, or empty for 1
/// labelled, vertex, returns, throws  as facility_location; value_error for another lambda.
/// Sums are in double, over the row's list and in the order of the picks, and gains are rounded to fp32. Memory
/// beside the graph: 20 B a row and 8 B a candidate.
/// Iyer & Bilmes 2013; Iyer et al., ALT 2021.
std::vector<candidate> graph_cut(const where& on, const similarity_graph& graph, double lambda,
                                 const allowance& limit, std::span<const index_t> labelled = {},
                                 vector_view<const float> weights = {}, batch_run* run = nullptr,
                                 std::span<const index_t> vertex = {});

}  // namespace poolwise
