#include "poolwise/learn/detail/checks.hpp"

#include <cmath>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

template <class Real>
void require_finite_entries(const char* call, matrix_view<const Real> x) {
  for (index_t i = 0; i < x.rows; ++i)
    for (index_t j = 0; j < x.cols; ++j)
      if (!std::isfinite(x(i, j)))
        throw value_error(std::string(call) + ": x is " + std::to_string(x(i, j)) + " at row " +
                          std::to_string(i) + ", column " + std::to_string(j) +
                          "; pass finite values, or leave the row out");
}

}  // namespace

void require_finite(const char* call, matrix_view<const float> x) { require_finite_entries(call, x); }
void require_finite(const char* call, matrix_view<const double> x) { require_finite_entries(call, x); }

void require_training_set(const char* call, matrix_view<const float> x, vector_view<const std::int32_t> y,
                          index_t classes) {
  if (x.rows < 1 || x.cols < 1)
    throw shape_error(std::string(call) + ": x is " + shape_text({x.rows, x.cols}) +
                      "; pass at least one labelled row of at least one feature");
  if (y.size != x.rows)
    throw shape_error(std::string(call) + ": y has " + std::to_string(y.size) + " labels but x has " +
                      std::to_string(x.rows) + " rows; pass one label per row");
  for (index_t i = 0; i < y.size; ++i)
    if (y[i] < 0 || y[i] >= classes)
      throw value_error(std::string(call) + ": label " + std::to_string(y[i]) + " at row " + std::to_string(i) +
                        " is outside 0 to " + std::to_string(classes - 1) + "; number the classes from 0");
}

void require_query(const char* call, matrix_view<const float> x, index_t features, cube_view<float> logits,
                   index_t members, index_t classes) {
  if (features == 0) throw error(std::string(call) + ": nothing has been fitted yet; call fit first");
  if (x.cols != features)
    throw shape_error(std::string(call) + ": x has " + std::to_string(x.cols) + " features but the fit had " +
                      std::to_string(features) + "; pass the same features");
  if (logits.members != members || logits.rows != x.rows || logits.cols != classes)
    throw shape_error(std::string(call) + ": logits is " +
                      shape_text({logits.members, logits.rows, logits.cols}) + "; pass " +
                      shape_text({members, x.rows, classes}) + ", [members, rows of x, classes]");
}

}  // namespace poolwise
