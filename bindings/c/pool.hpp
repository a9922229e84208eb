// What is behind the handle of a pool.
#pragma once

#include <memory>

#include "border.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise::c {

struct known_pool {
  pool_inputs inputs;
  row_ids ids;
};

std::shared_ptr<known_pool> find_pool(const char* call, const poolwise_pool* pool);

}  // namespace poolwise::c
