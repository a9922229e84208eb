// Pools: views of the caller's arrays.
#include "pool.hpp"

#include <limits>
#include <vector>

#include "poolwise/core/text.hpp"

namespace poolwise::c {
namespace {

auto& pools() {
  static auto& all =
      *new handles<poolwise_pool, known_pool>("pool", "poolwise_pool_new");  // outlives all callers
  return all;
}

void check_shape(const char* call, const char* name, const poolwise_matrix& x) {
  const std::string opening = std::string(call) + ": " + name + " ";
  if (x.rows < 0 || x.cols < 0)
    refuse(call, std::string(name) + " are " + shape_text({x.rows, x.cols}) + "; pass sizes of 0 or more");
  if (x.stride < x.cols)
    throw shape_error(opening + "have a stride of " + std::to_string(x.stride) + ", and rows of " +
                      std::to_string(x.cols) + "; pass a larger one, or 0");
  if (x.stride > 0 && x.rows > std::numeric_limits<index_t>::max() / 8 / x.stride)
    throw shape_error(opening + "are " + shape_text({x.rows, x.cols}) + ", which no memory holds");
  if (x.data == nullptr && x.rows > 0 && x.cols > 0) refuse(call, std::string(name) + " are NULL; pass them");
}

poolwise_matrix matrix_in(const char* call, const char* name, const poolwise_matrix* given) {
  poolwise_matrix x = taken(call, "poolwise_matrix", given);
  if (x.reserved != 0) refuse(call, "poolwise_matrix.reserved is not 0; leave it 0");
  if (x.stride == 0) x.stride = x.cols;
  check_shape(call, name, x);
  return x;
}

void check_rows(const char* call, const char* name, index_t rows, index_t of_pool) {
  if (rows != of_pool)
    throw shape_error(std::string(call) + ": " + name + " are of " + std::to_string(rows) +
                      " rows, and the pool has " + std::to_string(of_pool) + "; pass one row for each");
}

template <class T>
matrix_view<const T> view_of(const poolwise_matrix& x) {
  return {static_cast<const T*>(x.data), x.rows, x.cols, x.stride};
}

real_matrix real_in(const char* call, const char* name, const poolwise_matrix* given, index_t rows) {
  const poolwise_matrix x = matrix_in(call, name, given);
  check_rows(call, name, x.rows, rows);
  switch (x.type) {
    case POOLWISE_FLOAT32:
      return view_of<float>(x);
    case POOLWISE_FLOAT16:
      return view_of<float16>(x);
    case POOLWISE_BFLOAT16:
      return view_of<bfloat16>(x);
    default:
      refuse(call, std::string(name) + " are of type " + std::to_string(x.type) +
                       "; pass POOLWISE_FLOAT32, POOLWISE_FLOAT16 or POOLWISE_BFLOAT16");
  }
}

matrix_view<const float> floats_in(const char* call, const char* name, const poolwise_matrix* given) {
  const poolwise_matrix x = matrix_in(call, name, given);
  if (x.type != POOLWISE_FLOAT32)
    refuse(call, std::string(name) + " are of type " + std::to_string(x.type) + "; pass POOLWISE_FLOAT32");
  return view_of<float>(x);
}

outputs kind_in(const char* call, std::int32_t kind) {
  if (kind != POOLWISE_LOGITS && kind != POOLWISE_PROBABILITIES)
    refuse(call, "kind is " + std::to_string(kind) + "; pass POOLWISE_LOGITS or POOLWISE_PROBABILITIES");
  return kind == POOLWISE_LOGITS ? outputs::logits : outputs::probabilities;
}

template <class T>
vector_view<const T> column_in(const char* call, const char* name, const T* data, std::int64_t rows,
                               index_t of_pool) {
  check_rows(call, name, checked_count(call, name, data, rows), of_pool);
  return {data, rows};
}

/// Changes what is known of a pool.
template <class Change>
poolwise_status with_pool(const char* call, const poolwise_pool* pool, Change change) noexcept {
  return guarded(call, [&] { change(*find_pool(call, pool)); });
}

void set_costs(const char* call, known_pool& pool, const char* name, vector_view<const std::int64_t> costs) {
  if (name == nullptr) {
    pool.inputs.cost = costs;
    return;
  }
  if (!is_utf8(name) || *name == '\0') refuse(call, "the costs' name is empty, or no UTF-8; pass one, or NULL");
  for (cost_column& column : pool.inputs.also_cost)
    if (column.name == name) {
      column.cost = costs;
      return;
    }
  pool.inputs.also_cost.push_back({name, costs});
}

row_ids ids_in(const char* call, const char* const* ids, index_t rows) {
  std::vector<std::string> texts;
  for (index_t i = 0; i < rows; ++i) {
    const char* const id = ids[i];
    if (id == nullptr || !is_utf8(id))
      refuse(call, "the id of row " + std::to_string(i) + " is NULL, or no UTF-8; pass a text");
    texts.emplace_back(id);
  }
  return row_ids(std::move(texts));
}

}  // namespace

std::shared_ptr<known_pool> find_pool(const char* call, const poolwise_pool* pool) {
  return pools().find(call, pool);
}

}  // namespace poolwise::c

using namespace poolwise;     // the calls stand in the order of the header
using namespace poolwise::c;  // and belong to no namespace

extern "C" {

poolwise_status poolwise_pool_new(int64_t rows, poolwise_pool** pool) {
  return guarded(__func__, [&, call = __func__] {
    not_null(call, "pool", pool);
    if (rows < 1)
      throw value_error(std::string(call) + ": a pool of " + std::to_string(rows) + " rows; pass 1 or more");
    auto made = std::make_shared<known_pool>();
    made->inputs.rows = rows;
    *pool = pools().keep(std::move(made));
  });
}

poolwise_status poolwise_pool_free(poolwise_pool* pool) {
  return guarded(__func__, [&, call = __func__] { pools().drop(call, pool); });
}

poolwise_status poolwise_pool_set_outputs(poolwise_pool* pool, const poolwise_matrix* given, int32_t kind) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    const auto holds = kind_in(call, kind);
    known.inputs.model = real_in(call, "outputs", given, known.inputs.rows);
    known.inputs.model_kind = holds;
  });
}

poolwise_status poolwise_pool_set_committee(poolwise_pool* pool, const poolwise_matrix* members, int64_t count,
                                            int32_t kind) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    const auto holds = kind_in(call, kind);
    std::vector<real_matrix> each;
    // A newer caller's structs are larger: the first says how far it is to the next.
    const index_t size = checked_count(call, "members", members, count);
    const std::size_t step = size > 0 ? members->size : 0;
    for (index_t m = 0; m < size; ++m) {
      const auto* const at = reinterpret_cast<const char*>(members) + std::size_t(m) * step;
      each.push_back(real_in(call, "members", reinterpret_cast<const poolwise_matrix*>(at), known.inputs.rows));
    }
    known.inputs.committee = committee_outputs(std::move(each));
    known.inputs.committee_kind = holds;
  });
}

poolwise_status poolwise_pool_set_embeddings(poolwise_pool* pool, const poolwise_matrix* embeddings) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    const auto view = floats_in(call, "embeddings", embeddings);
    check_rows(call, "embeddings", view.rows, known.inputs.rows);
    known.inputs.embeddings = view;
  });
}

poolwise_status poolwise_pool_set_predictions(poolwise_pool* pool, const float* predictions, int64_t members,
                                              int64_t rows, int64_t cols) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    checked_count(call, "members", predictions, members);
    poolwise_matrix each{sizeof each, predictions, rows, cols, cols, POOLWISE_FLOAT32, 0};
    check_shape(call, "predictions", each);
    check_rows(call, "predictions", rows, known.inputs.rows);
    if (cols > 0 && members > std::numeric_limits<index_t>::max() / 8 / rows / cols)
      throw shape_error(std::string(call) + ": predictions are " + shape_text({members, rows, cols}) +
                        ", which no memory holds");
    known.inputs.predictions = cube_view<const float>{predictions, members, rows, cols};
  });
}

poolwise_status poolwise_pool_set_queries(poolwise_pool* pool, const poolwise_matrix* queries,
                                          const float* weights) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    const auto view = floats_in(call, "queries", queries);
    known.inputs.queries = view;
    known.inputs.query_weights = {weights, weights == nullptr ? 0 : view.rows};
  });
}

poolwise_status poolwise_pool_set_private(poolwise_pool* pool, const poolwise_matrix* rows) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    known.inputs.private_rows = floats_in(call, "private rows", rows);
  });
}

poolwise_status poolwise_pool_set_label_outputs(poolwise_pool* pool, const poolwise_matrix* given,
                                                int32_t kind) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    const auto holds = kind_in(call, kind);
    known.inputs.label_outputs = real_in(call, "label outputs", given, known.inputs.rows);
    known.inputs.label_kind = holds;
  });
}

poolwise_status poolwise_pool_set_label_sets(poolwise_pool* pool, const poolwise_matrix* sets) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    const auto view = floats_in(call, "label sets", sets);
    check_rows(call, "label sets", view.rows, known.inputs.rows);
    known.inputs.label_sets = view;
  });
}

poolwise_status poolwise_pool_set_labelled(poolwise_pool* pool, const int64_t* rows, int64_t count) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    known.inputs.labelled = {rows, std::size_t(checked_count(call, "labelled rows", rows, count))};
  });
}

poolwise_status poolwise_pool_set_excluded(poolwise_pool* pool, const int64_t* rows, int64_t count) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    known.inputs.excluded = {rows, std::size_t(checked_count(call, "excluded rows", rows, count))};
  });
}

poolwise_status poolwise_pool_set_costs(poolwise_pool* pool, const char* name, const int64_t* costs,
                                        int64_t rows) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    set_costs(call, known, name, column_in(call, "costs", costs, rows, known.inputs.rows));
  });
}

poolwise_status poolwise_pool_set_groups(poolwise_pool* pool, const int64_t* groups, int64_t rows) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    known.inputs.group = column_in(call, "groups", groups, rows, known.inputs.rows);
  });
}

poolwise_status poolwise_pool_set_ids(poolwise_pool* pool, const char* const* ids, int64_t rows) {
  const char* const call = __func__;
  return with_pool(call, pool, [&](known_pool& known) {
    check_rows(call, "ids", checked_count(call, "ids", ids, rows), known.inputs.rows);
    known.ids = ids_in(call, ids, rows);
    known.inputs.ids = &known.ids;
  });
}

}  // extern "C"
