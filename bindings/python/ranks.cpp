#include "ranks.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <numeric>
#include <string>

#include "poolwise/cluster/placed_rows.hpp"
#include "poolwise/cluster/sharded_select.hpp"

namespace poolwise::python {
namespace {

constexpr const char* call = "select";

/// The bytes of a list that a function of Python gave.
std::vector<std::vector<std::byte>> bytes_of(const nb::object& given) {
  std::vector<std::vector<std::byte>> all;
  for (const nb::handle one : given) {
    char* from = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(one.ptr(), &from, &size) != 0) throw nb::python_error();
    const auto* const first = reinterpret_cast<const std::byte*>(from);
    all.emplace_back(first, first + size);
  }
  return all;
}

}  // namespace

python_ranks::python_ranks(const integer& rank, const integer& size, nb::callable gather, const real& deadline,
                           const std::optional<integer_array>& numbers)
    : gather_(std::move(gather)) {
  const int ranks = number_in(call, "size", size, 1, 1 << 20);
  all_ = std::make_unique<callback_communicator>(
      number_in(call, "rank", rank, 0, ranks - 1), ranks,
      [this](std::span<const std::byte> mine, std::chrono::milliseconds longest) {
        return gathered(mine, longest);
      });
  const double seconds = double(real_in(call, "deadline", deadline));
  if (!(seconds >= 0.001 && seconds <= 1e9))
    throw value_error("select: deadline is " + std::to_string(seconds) + "; pass seconds from 0.001 to 1e9");
  all_->set_deadline(std::chrono::milliseconds(std::int64_t(seconds * 1e3)));
  if (numbers) {
    const integers given(call, "numbers", *numbers);
    numbers_.emplace(given.span().begin(), given.span().end());
  }
}

std::vector<std::vector<std::byte>> python_ranks::gathered(std::span<const std::byte> mine,
                                                           std::chrono::milliseconds deadline) {
  const nb::gil_scoped_acquire held;
  std::string problem;
  try {
    try {
      return bytes_of(gather_(nb::bytes(mine.data(), mine.size()), double(deadline.count()) / 1e3));
    } catch (nb::python_error& raised) {
      problem = message_of(raised);
    }
  } catch (const nb::python_error&) {
    ended_by_ = std::current_exception();
    problem = "the process was interrupted";
  }
  throw cluster_error(cluster_failure::lost, "the ranks do not answer: " + problem);
}

batch python_ranks::select(const where& on, const pool_inputs& pool, const query_spec& spec,
                           const query_run& how, const wording& words) {
  try {
    return together(*all_, [&] {
      std::vector<index_t> numbers;
      if (numbers_) {
        numbers = *numbers_;
      } else {
        numbers.resize(std::size_t(pool.rows));
        std::iota(numbers.begin(), numbers.end(), place_rows(*all_, pool.rows).first);
      }
      try {
        return run(on, {pool, numbers}, spec, *all_, how, words);
      } catch (const nb::python_error&) {
        ended_by_ = std::current_exception();
        throw error("the process was interrupted");
      }
    });
  } catch (const cluster_error&) {
    if (ended_by_) std::rethrow_exception(ended_by_);
    throw;
  }
}

void define_ranks(nb::module_& m) {
  nb::class_<python_ranks>(m, "Ranks",
                           "One rank of a cluster whose bytes a function carries: see poolwise.distributed.")
      .def(nb::init<const integer&, const integer&, nb::callable, const real&,
                    const std::optional<integer_array>&>(),
           "rank"_a, "size"_a, "gather"_a, nb::kw_only(), "deadline"_a, "numbers"_a = nb::none())
      .def(
          "fail", [](python_ranks& r, const std::string& sentence) { r.fail(sentence); }, "sentence"_a,
          nb::call_guard<nb::gil_scoped_release>(), "Ends all ranks with a sentence.")
      .def_prop_ro(
          "rounds", [](const python_ranks& r) { return r.traffic().rounds; }, "Exchanges so far.")
      .def_prop_ro(
          "bytes", [](const python_ranks& r) { return r.traffic().bytes_sent + r.traffic().bytes_received; },
          "What this rank gave and got.");
}

}  // namespace poolwise::python
