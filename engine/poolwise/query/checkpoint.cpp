#include "poolwise/query/checkpoint.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/file_lock.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

/// The rows of a matrix, in blocks whose hashes are hashed in turn.
template <class T>
void add_rows(cpu on, matrix_view<const T> x, hash& into) {
  const std::size_t row_bytes = std::size_t(x.cols) * sizeof(T);
  const index_t block =
      std::max<index_t>(1, index_t((std::size_t{1} << 20) / std::max<std::size_t>(1, row_bytes)));
  std::vector<std::uint64_t> blocks(std::size_t(blocks_of(x.rows, block)));
  parallel_blocks(on, x.rows, block, [&](index_t b, index_t begin, index_t end) {
    const T* rows = x.row(begin);
    std::vector<T> copy;
    if (x.stride != x.cols) {
      for (index_t i = begin; i < end; ++i) copy.insert(copy.end(), x.row(i), x.row(i) + x.cols);
      rows = copy.data();
    }
    hash part;
    part.add(rows, std::size_t(end - begin) * row_bytes);
    blocks[std::size_t(b)] = part.value();
  });
  for (const index_t extent : {index_t(sizeof(T)), x.rows, x.cols}) into.add_value(extent);
  into.add(blocks.data(), blocks.size() * sizeof(std::uint64_t));
}

void add_rows(cpu on, const real_matrix& x, hash& into) {
  std::visit([&](auto rows) { add_rows(on, rows, into); }, x);
}

template <class T>
void add_values(vector_view<const T> values, hash& into) {
  into.add(values.data, std::size_t(values.size) * sizeof(T));
}

// ---- The bytes of a file: magic, fingerprint, proposals, how many picks; the picks; a hash of all that

constexpr char magic[8] = {'p', 'w', 'p', 'i', 'c', 'k', 's', 2};  // the last one: the version
constexpr std::size_t bytes_of_pick = 16, bytes_around = sizeof magic + 8 + 8 + 8 + 8;

std::uint64_t hash_of(std::span<const std::byte> bytes) {
  hash h;
  h.add(bytes.data(), bytes.size());
  return h.value();
}

}  // namespace

std::uint64_t fingerprint(const where& on, const query& asked) {
  const cpu host = host_of(on);
  const pool_inputs& pool = asked.pool();
  hash h;
  const std::string spec = to_json(asked.spec());
  h.add(spec.data(), spec.size());
  h.add_value(std::holds_alternative<cpu>(on));
  h.add(pool.labelled.data(), pool.labelled.size_bytes());
  h.add(pool.excluded.data(), pool.excluded.size_bytes());
  add_values(pool.cost, h);
  for (const cost_column& one : pool.also_cost) add_values(one.cost, h);
  add_values(pool.group, h);
  h.add_value(pool.model_kind);
  h.add_value(pool.committee_kind);
  if (pool.model) add_rows(host, *pool.model, h);
  if (pool.committee)
    for (index_t m = 0; m < pool.committee->members(); ++m) add_rows(host, pool.committee->member(m), h);
  if (pool.embeddings) add_rows(host, *pool.embeddings, h);
  if (pool.predictions)
    for (index_t m = 0; m < pool.predictions->members; ++m) add_rows(host, pool.predictions->member(m), h);
  if (pool.queries) add_rows(host, *pool.queries, h);
  add_values(pool.query_weights, h);
  add_values(pool.labels, h);
  if (pool.targets)
    for (const real_matrix& member : pool.targets->each()) add_rows(host, member, h);
  if (pool.cost_matrix) add_rows(host, *pool.cost_matrix, h);
  if (pool.private_rows) add_rows(host, *pool.private_rows, h);
  if (pool.label_outputs) {
    h.add_value(pool.label_kind);
    add_rows(host, *pool.label_outputs, h);
  }
  if (pool.label_sets) add_rows(host, *pool.label_sets, h);
  return h.value();
}

checkpoint::checkpoint(std::filesystem::path file, std::uint64_t fingerprint)
    : file_(std::move(file)), fingerprint_(fingerprint) {
  check_place(file_);
}

void checkpoint::check_place(const std::filesystem::path& file) {
  std::error_code problem;
  const auto found = std::filesystem::status(file, problem);
  const std::string name = "checkpoint: " + printable(file.string());
  if (problem && found.type() != std::filesystem::file_type::not_found)
    throw io_error(name + " cannot be looked up: " + problem.message() + "; check the path");
  if (open_descriptor(file) || (std::filesystem::exists(found) && !std::filesystem::is_regular_file(found)))
    throw usage_error(name + " is no regular file, and a state cannot be kept in it; name a file");
}

void checkpoint::lock() { lock_ = std::make_shared<const file_lock>("checkpoint", written_file(file_)); }

std::optional<batch_state> checkpoint::read() const {
  std::error_code none;
  if (!std::filesystem::exists(file_, none)) return std::nullopt;
  const std::string text = read_file("checkpoint", file_);
  if (text.empty()) return std::nullopt;
  const auto bytes = std::as_bytes(std::span(text));
  const std::string name = "checkpoint: " + printable(file_.string());
  if (bytes.size() < bytes_around || std::memcmp(bytes.data(), magic, sizeof magic - 1) != 0)
    throw format_error(name + " is not a checkpoint; name another file, or remove it");
  if (const int version = text[sizeof magic - 1]; version != magic[sizeof magic - 1])
    throw format_error(name + " has version " + std::to_string(version) +
                       " and this build reads version 2; go on with the build that wrote it, or remove it");
  auto rest = bytes.subspan(sizeof magic);
  const std::uint64_t whose = take_number(rest), proposals = take_number(rest), picks = take_number(rest);
  auto stored = bytes.last(8);
  if (picks != (bytes.size() - bytes_around) / bytes_of_pick ||
      (bytes.size() - bytes_around) % bytes_of_pick != 0 ||
      take_number(stored) != hash_of(bytes.first(bytes.size() - 8)))
    throw format_error(name + " is damaged; remove it, and the selection begins anew");
  if (whose != fingerprint_)
    throw value_error(name +
                      " is of another selection: inputs or options differ; give those that it was begun with, "
                      "or remove it");
  batch_state state;
  state.proposals = index_t(proposals);
  state.picks.resize(std::size_t(picks));
  for (candidate& pick : state.picks) {
    pick.row = index_t(take_number(rest));
    pick.score = std::bit_cast<float>(std::uint32_t(take_number(rest)));
  }
  return state;
}

void checkpoint::write(const batch_state& state) const {
  std::vector<std::byte> bytes(sizeof magic);
  std::memcpy(bytes.data(), magic, sizeof magic);
  append_number(bytes, fingerprint_);
  append_number(bytes, std::uint64_t(state.proposals));
  append_number(bytes, state.picks.size());
  for (const candidate& pick : state.picks) {
    append_number(bytes, std::uint64_t(pick.row));
    append_number(bytes, std::bit_cast<std::uint32_t>(pick.score));
  }
  append_number(bytes, hash_of(bytes));
  write_text(file_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void remove_checkpoint(const std::filesystem::path& file) {
  const auto state = written_file(file);
  try {
    const file_lock ours("checkpoint", state);
    std::error_code none;
    std::filesystem::remove(state, none);
  } catch (const error&) {  // it is another selection's by now, or no lock is to be had: the result is safe
  }
}

}  // namespace poolwise
