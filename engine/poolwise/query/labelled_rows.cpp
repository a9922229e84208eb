#include "poolwise/query/detail/labelled_rows.hpp"

#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

std::vector<float> labelled_probabilities(const char* call, const stage_input& x) {
  const real_matrix& model = *x.whole->model;
  const index_t classes = cols_of(model);
  std::vector<float> p(x.whole->labelled.size() * std::size_t(classes));
  for (std::size_t n = 0; n < x.whole->labelled.size(); ++n) {
    const index_t row = x.whole->labelled[n];
    float* const own = p.data() + n * std::size_t(classes);
    class_probabilities(host_of(x.on), rows_between(model, row, row + 1), x.whole->model_kind,
                        {own, 1, classes});
    if (own[0] != own[0])
      throw value_error(std::string(call) + ": the outputs of labelled row " + std::to_string(row) + ' ' +
                        why_invalid(model, x.whole->model_kind, row) +
                        ", and rows are held against them; give outputs for it, or exclude it");
  }
  return p;
}

std::vector<float> stage_probabilities(const stage_input& x) {
  const index_t classes = cols_of(*x.pool.model);
  std::vector<float> p(std::size_t(x.rows() * classes));
  class_probabilities(host_of(x.on), *x.pool.model, x.pool.model_kind, {p.data(), x.rows(), classes});
  return p;
}

}  // namespace poolwise
