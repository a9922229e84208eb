// The hash tree over a log of lines, as certificate transparency has it (RFC 9162, section 2.1): a head of 32
// bytes stands for all lines, and short proofs say that a line is in the log and that a log was only added to.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// SHA-256.
using digest = std::array<std::uint8_t, 32>;

/// SHA-256(0x00 || line), the line without its line feed.
digest leaf_digest(std::string_view line);
/// SHA-256(0x01 || left || right)
digest node_digest(const digest& left, const digest& right);
/// SHA-256 of nothing: the root of a tree without a leaf.
digest empty_root();

/// 64 digits in lower case, and back. throws usage_error.
std::string to_text(const digest& value);
digest parse_digest(std::string_view text);

/// The log's first `size` lines.
struct tree_head {
  index_t size = 0;
  digest root = empty_root();

  friend bool operator==(const tree_head&, const tree_head&) = default;
};

/// "SIZE:HEX", and back. throws usage_error.
std::string to_text(const tree_head& head);
tree_head parse_tree_head(std::string_view text);

/// That the line number `leaf` of the log with `head` is `line`: the siblings from the leaf up.
struct inclusion_proof {
  std::string line;
  index_t leaf = 0;
  tree_head head;
  std::vector<digest> path;
};

/// That the log with head `to` begins with the log with head `from`.
struct consistency_proof {
  tree_head from, to;
  std::vector<digest> path;
};

/// Whether the proof proves it (RFC 9162, 2.1.3.2 and 2.1.4.2). O(log size) hashes.
bool holds(const inclusion_proof& proof);
bool holds(const consistency_proof& proof);

/// {"line", "leaf", "head", "path"} and {"from", "to", "path"}, heads and digests as their text.
std::string to_json(const inclusion_proof& proof);
std::string to_json(const consistency_proof& proof);

/// A tree that grows leaf by leaf and keeps the roots of its complete subtrees, of which there are at most 63.
class growing_tree {
 public:
  /// told(level, position, root) hears of each complete subtree, of 2^level leaves from position * 2^level on,
  /// when its last leaf has come.
  using listener = std::function<void(int level, index_t position, const digest& root)>;

  growing_tree() = default;
  /// roots  of the complete subtrees of `size` leaves, the largest first: one for each bit of `size`.
  growing_tree(index_t size, std::vector<digest> roots) : size_(size), roots_(std::move(roots)) {}

  void add(const digest& leaf, const listener& told);
  index_t size() const { return size_; }
  /// O(log size) hashes.
  tree_head head() const;

 private:
  index_t size_ = 0;
  std::vector<digest> roots_;
};

/// The root of the complete subtree of 2^level leaves from position * 2^level on.
using subtree_root = std::function<digest(int level, index_t position)>;

/// Of the first `size` leaves; each asks `root_of` O(log size) times.
growing_tree tree_of(index_t size, const subtree_root& root_of);
std::vector<digest> inclusion_path(index_t leaf, index_t size, const subtree_root& root_of);
std::vector<digest> consistency_path(index_t from, index_t to, const subtree_root& root_of);

}  // namespace poolwise
