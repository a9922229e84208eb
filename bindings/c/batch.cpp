// Batches: what was picked, and why.
#include "batch.hpp"

#include <limits>
#include <memory>
#include <utility>

namespace poolwise::c {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

auto& batches() {
  static auto& all =
      *new handles<poolwise_batch, picked_batch>("batch", "poolwise_select");  // outlives all callers
  return all;
}

template <class Look>
poolwise_status with_batch(const char* call, const poolwise_batch* picked, Look look) noexcept {
  return guarded(call, [&] { look(*batches().find(call, picked)); });
}

std::size_t checked_place(const char* call, const char* what, std::int64_t at, std::size_t size) {
  if (at < 0 || std::size_t(at) >= size)
    refuse(call, std::string(what) + " " + std::to_string(at) + " of " + std::to_string(size) +
                     ", which count from 0; pass one that is there");
  return std::size_t(at);
}

poolwise_summary summary_of(const batch& b) {
  poolwise_summary all{};
  all.picks = std::int64_t(b.picks.size());
  all.cost = b.cost();
  all.strategy = b.strategy.c_str();
  all.of_optimum = b.of_optimum.value_or(nothing);
  all.skipped_rows = b.skipped_rows;
  all.first_skipped = b.first_skipped;
  all.remarks = std::int64_t(b.remarks.size());
  all.stages = std::int64_t(b.kept_by.size());
  all.neighbours = b.neighbours ? name_of(b.neighbours->method) : nullptr;
  all.recall = b.neighbours ? b.neighbours->recall : nothing;
  all.rank_seconds = b.rank_seconds;
  all.diversify_seconds = b.diversify_seconds;
  return all;
}

}  // namespace

picked_batch::picked_batch(batch chosen) : picks(std::move(chosen)), kept_by(picks.kept_by.size()) {
  for (const pick& p : picks.picks) {
    rows.push_back(p.row);
    for (std::size_t s = 0; s < kept_by.size(); ++s) kept_by[s].push_back(p.kept_by[s]);
  }
}

poolwise_batch* keep_batch(batch chosen) {
  return batches().keep(std::make_shared<picked_batch>(std::move(chosen)));
}

}  // namespace poolwise::c

using namespace poolwise;
using namespace poolwise::c;

extern "C" {

poolwise_status poolwise_batch_free(poolwise_batch* batch) {
  const char* const call = __func__;
  return guarded(call, [&] { batches().drop(call, batch); });
}

poolwise_status poolwise_batch_summary(const poolwise_batch* batch, poolwise_summary* summary) {
  const char* const call = __func__;
  return with_batch(call, batch, [&](const picked_batch& b) {
    result(call, "poolwise_summary", summary).give(summary_of(b.picks));
  });
}

poolwise_status poolwise_batch_pick(const poolwise_batch* batch, int64_t at, poolwise_pick* pick) {
  const char* const call = __func__;
  return with_batch(call, batch, [&](const picked_batch& b) {
    const result place(call, "poolwise_pick", pick);
    const auto& p = b.picks.picks[checked_place(call, "pick", at, b.rows.size())];
    place.give({0, p.row, p.id.c_str(), p.score, 0, p.cost, p.reason.c_str()});
  });
}

poolwise_status poolwise_batch_rows(const poolwise_batch* batch, const int64_t** rows, int64_t* count) {
  const char* const call = __func__;
  return with_batch(call, batch, [&](const picked_batch& b) {
    not_null(call, "rows", rows);
    not_null(call, "count", count) = std::int64_t(b.rows.size());
    *rows = b.rows.data();
  });
}

poolwise_status poolwise_batch_remark(const poolwise_batch* batch, int64_t at, const char** remark) {
  const char* const call = __func__;
  return with_batch(call, batch, [&](const picked_batch& b) {
    not_null(call, "remark", remark) =
        b.picks.remarks[checked_place(call, "remark", at, b.picks.remarks.size())].c_str();
  });
}

poolwise_status poolwise_batch_stage(const poolwise_batch* batch, int64_t at, const char** stage,
                                     const float** scores) {
  const char* const call = __func__;
  return with_batch(call, batch, [&](const picked_batch& b) {
    not_null(call, "stage", stage);
    not_null(call, "scores", scores);
    const std::size_t s = checked_place(call, "stage", at, b.kept_by.size());
    *stage = b.picks.kept_by[s].c_str();
    *scores = b.kept_by[s].data();
  });
}

}  // extern "C"
