#include "poolwise/query/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

/// A hash of bytes, eight words at a time; a last word is filled up with zeros.
class hash {
 public:
  void add(const void* bytes, std::size_t size) {
    const auto* const from = static_cast<const char*>(bytes);
    std::size_t done = 0;
    for (; done + lanes * 8 <= size; done += lanes * 8)
      for (std::size_t lane = 0; lane < lanes; ++lane) mix(lane, word(from + done + lane * 8, 8));
    for (std::size_t lane = 0; done < size; ++lane, done += 8)
      mix(lane, word(from + done, std::min<std::size_t>(8, size - done)));
    mix(0, size);
  }

  template <class T>
  void add_value(const T& value) {
    add(&value, sizeof value);
  }

  std::uint64_t value() const {
    std::uint64_t all = 0;
    for (const std::uint64_t lane : lane_) all = scrambled(all ^ lane);
    return all;
  }

 private:
  static constexpr std::size_t lanes = 8;

  static std::uint64_t word(const char* from, std::size_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, from, size);
    return value;
  }

  /// A bijection in which every bit of the result depends on all bits.
  static std::uint64_t scrambled(std::uint64_t x) {
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
  }

  void mix(std::size_t lane, std::uint64_t value) {
    lane_[lane] = std::rotl(lane_[lane] ^ value, 29) * 0x9e3779b97f4a7c15u + lane + 1;
  }

  std::array<std::uint64_t, lanes> lane_{};
};

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

template <class T>
void add_values(vector_view<const T> values, hash& into) {
  into.add(values.data, std::size_t(values.size) * sizeof(T));
}

// ---- The bytes of a file: a head, the picks, and a hash of both

constexpr char magic[8] = {'p', 'w', 'p', 'i', 'c', 'k', 's', 1};  // the last one: the version

struct file_head {
  char magic[8];
  std::uint64_t fingerprint;
  std::int64_t proposals, picks;
};
struct file_pick {
  std::int64_t row;
  std::uint32_t score, unused;
};

template <class T>
void append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::uint64_t hash_of(std::string_view bytes) {
  hash h;
  h.add(bytes.data(), bytes.size());
  return h.value();
}

template <class T>
T value_at(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

std::uint64_t fingerprint(const where& on, const pool_inputs& pool, const selection_request& request) {
  const auto* const here = std::get_if<cpu>(&on);
  const cpu host = here != nullptr ? *here : cpu{};
  hash h;
  h.add(request.what.name.data(), request.what.name.size());
  h.add_value(here != nullptr);
  h.add_value(request.seed);
  h.add_value(request.round);
  h.add_value(request.invalid);
  h.add_value(request.limit.picks);
  h.add_value(request.limit.budget);
  h.add_value(request.apart.value_or(-1.0f));
  h.add_value(request.neighbours);
  h.add(request.labelled.data(), request.labelled.size_bytes());
  h.add(request.excluded.data(), request.excluded.size_bytes());
  add_values(request.limit.cost, h);
  add_values(request.limit.group, h);
  add_values(request.limit.quota, h);
  h.add_value(pool.model_kind);
  h.add_value(pool.committee_kind);
  if (pool.model) std::visit([&](auto x) { add_rows(host, x, h); }, *pool.model);
  if (pool.committee)
    std::visit(
        [&](auto cube) {
          for (index_t member = 0; member < cube.members; ++member) add_rows(host, cube.member(member), h);
        },
        *pool.committee);
  if (pool.embeddings) add_rows(host, *pool.embeddings, h);
  return h.value();
}

checkpoint::checkpoint(std::filesystem::path file, std::uint64_t fingerprint)
    : file_(std::move(file)), fingerprint_(fingerprint) {}

std::optional<batch_state> checkpoint::read() const {
  if (!std::filesystem::exists(file_)) return std::nullopt;
  const std::string bytes = read_file("checkpoint", file_);
  const std::string name = "checkpoint: " + printable(file_.string());
  const std::size_t around = sizeof(file_head) + sizeof(std::uint64_t);
  if (bytes.size() < around || std::memcmp(bytes.data(), magic, sizeof magic - 1) != 0)
    throw format_error(name + " is not a checkpoint; name another file, or remove it");
  if (const int version = bytes[sizeof magic - 1]; version != magic[sizeof magic - 1])
    throw format_error(name + " has version " + std::to_string(version) +
                       " and this build reads version 1; go on with the build that wrote it, or remove it");
  const auto head = value_at<file_head>(bytes, 0);
  const std::string_view content(bytes.data(), bytes.size() - sizeof(std::uint64_t));
  if (std::uint64_t(head.picks) != (bytes.size() - around) / sizeof(file_pick) ||
      (bytes.size() - around) % sizeof(file_pick) != 0 ||
      value_at<std::uint64_t>(bytes, content.size()) != hash_of(content))
    throw format_error(name + " is damaged; remove it, and the selection begins anew");
  if (head.fingerprint != fingerprint_)
    throw value_error(name +
                      " is of another selection: inputs or options differ; give those that it was begun with, "
                      "or remove it");
  batch_state state;
  state.proposals = head.proposals;
  for (std::size_t at = sizeof head; at < content.size(); at += sizeof(file_pick)) {
    const auto pick = value_at<file_pick>(bytes, at);
    state.picks.push_back({pick.row, std::bit_cast<float>(pick.score)});
  }
  return state;
}

void checkpoint::write(const batch_state& state) const {
  file_head head{{}, fingerprint_, state.proposals, index_t(state.picks.size())};
  std::memcpy(head.magic, magic, sizeof magic);
  std::string bytes;
  append(bytes, head);
  for (const candidate& pick : state.picks)
    append(bytes, file_pick{pick.row, std::bit_cast<std::uint32_t>(pick.score), 0});
  append(bytes, hash_of(bytes));
  write_text(file_, bytes);
}

void checkpoint::remove() const {
  std::error_code none;
  std::filesystem::remove(file_, none);
}

}  // namespace poolwise
