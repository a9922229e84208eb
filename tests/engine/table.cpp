// Tables of labelled rows: what is read, what is refused, and what tells one from another.
#include "poolwise/pool/table.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using values = std::vector<double>;
using labels = std::vector<std::int32_t>;
using names = std::vector<std::string>;

