#include "poolwise/ledger/merkle.hpp"

#define OPENSSL_SUPPRESS_DEPRECATED  // the interface that is not deprecated loads every algorithm for this one
#include <openssl/sha.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

constexpr std::size_t shown = 80;
constexpr std::string_view digits = "0123456789abcdef";

digest sha256(std::uint8_t prefix, std::string_view first, std::string_view second) {
  SHA256_CTX context;
  digest result;
  SHA256_Init(&context);
  SHA256_Update(&context, &prefix, 1);
  SHA256_Update(&context, first.data(), first.size());
  SHA256_Update(&context, second.data(), second.size());
  SHA256_Final(result.data(), &context);
  return result;
}

std::string_view bytes_of(const digest& value) {
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

// Where a tree of `size` leaves is split: the largest power of two below `size`, which is 2 or more.
index_t split(index_t size) { return index_t(std::bit_floor(std::uint64_t(size) - 1)); }

// `begin` is a multiple of what `size` is rounded up to, as in every subtree of the split above.
digest root_of_leaves(index_t begin, index_t size, const subtree_root& root_of) {
  if (std::has_single_bit(std::uint64_t(size)))
    return root_of(std::countr_zero(std::uint64_t(size)), begin / size);
  const index_t left = split(size);
  return node_digest(root_of_leaves(begin, left, root_of), root_of_leaves(begin + left, size - left, root_of));
}

void consistency(index_t from, index_t begin, index_t size, bool is_known, const subtree_root& root_of,
                 std::vector<digest>& path) {
  if (from == size) {
    if (!is_known) path.push_back(root_of_leaves(begin, size, root_of));
    return;
  }
  const index_t left = split(size);
  if (from <= left) {
    consistency(from, begin, left, is_known, root_of, path);
    path.push_back(root_of_leaves(begin + left, size - left, root_of));
  } else {
    consistency(from - left, begin + left, size - left, false, root_of, path);
    path.push_back(root_of_leaves(begin, left, root_of));
  }
}

nlohmann::json texts_of(const std::vector<digest>& path) {
  nlohmann::json texts = nlohmann::json::array();
  for (const digest& one : path) texts.push_back(to_text(one));
  return texts;
}

}  // namespace

digest leaf_digest(std::string_view line) { return sha256(0, line, {}); }
digest node_digest(const digest& left, const digest& right) {
  return sha256(1, bytes_of(left), bytes_of(right));
}
digest empty_root() {
  digest result;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Final(result.data(), &context);
  return result;
}

std::string to_text(const digest& value) {
  std::string text;
  for (const std::uint8_t byte : value) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

digest parse_digest(std::string_view text) {
  digest value{};
  const bool sound = text.size() == 2 * value.size() && text.find_first_not_of(digits) == text.npos;
  if (!sound)
    throw usage_error("tree head: " + printable(text, shown) +
                      " is no digest; pass 64 of the digits 0-9 and a-f");
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = std::uint8_t(digits.find(text[2 * i]) * 16 + digits.find(text[2 * i + 1]));
  return value;
}

std::string to_text(const tree_head& head) { return std::to_string(head.size) + ":" + to_text(head.root); }

tree_head parse_tree_head(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const auto size = number_in<index_t>(text.substr(0, colon));
  if (!size || *size < 0 || colon == text.size())
    throw usage_error("tree head: " + printable(text, shown) + " is none; pass SIZE:HEX, as it was printed");
  return {*size, parse_digest(text.substr(colon + 1))};
}

// The paths that are checked are as RFC 9162 has it in 2.1.3.2 and 2.1.4.2; fn and sn are its names.
bool holds(const inclusion_proof& proof) {
  if (proof.leaf < 0 || proof.leaf >= proof.head.size) return false;
  auto fn = std::uint64_t(proof.leaf), sn = std::uint64_t(proof.head.size) - 1;
  digest root = leaf_digest(proof.line);
  for (const digest& sibling : proof.path) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      root = node_digest(sibling, root);
      while ((fn & 1) == 0 && fn != 0) fn >>= 1, sn >>= 1;
    } else {
      root = node_digest(root, sibling);
    }
    fn >>= 1, sn >>= 1;
  }
  return sn == 0 && root == proof.head.root;
}

bool holds(const consistency_proof& proof) {
  const auto& [from, to, path] = proof;
  if (from.size < 0 || from.size > to.size) return false;
  if (from.size == to.size) return path.empty() && from.root == to.root;
  if (from.size == 0) return path.empty() && from.root == empty_root();
  std::vector<digest> steps = path;
  if (std::has_single_bit(std::uint64_t(from.size))) steps.insert(steps.begin(), from.root);
  if (steps.empty()) return false;
  auto fn = std::uint64_t(from.size) - 1, sn = std::uint64_t(to.size) - 1;
  while ((fn & 1) != 0) fn >>= 1, sn >>= 1;
  digest older = steps.front(), newer = steps.front();
  for (std::size_t i = 1; i < steps.size(); ++i) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      older = node_digest(steps[i], older);
      newer = node_digest(steps[i], newer);
      while ((fn & 1) == 0 && fn != 0) fn >>= 1, sn >>= 1;
    } else {
      newer = node_digest(newer, steps[i]);
    }
    fn >>= 1, sn >>= 1;
  }
  return sn == 0 && older == from.root && newer == to.root;
}

std::string to_json(const inclusion_proof& proof) {
  return nlohmann::json{
      {"line", proof.line}, {"leaf", proof.leaf}, {"head", to_text(proof.head)}, {"path", texts_of(proof.path)}}
      .dump();
}

std::string to_json(const consistency_proof& proof) {
  return nlohmann::json{
      {"from", to_text(proof.from)}, {"to", to_text(proof.to)}, {"path", texts_of(proof.path)}}
      .dump();
}

void growing_tree::add(const digest& leaf, const listener& told) {
  digest root = leaf;
  if (told) told(0, size_, root);
  // As many complete subtrees end with this leaf as its number ends in ones. A listener that throws leaves all
  // as it was.
  const int merged = std::countr_one(std::uint64_t(size_));
  for (int level = 1; level <= merged; ++level) {
    root = node_digest(roots_[roots_.size() - std::size_t(level)], root);
    if (told) told(level, size_ >> level, root);
  }
  roots_.resize(roots_.size() - std::size_t(merged));
  roots_.push_back(root);
  ++size_;
}

tree_head growing_tree::head() const {
  if (size_ == 0) return {};
  digest root = roots_.back();
  for (std::size_t i = roots_.size() - 1; i-- > 0;) root = node_digest(roots_[i], root);
  return {size_, root};
}

growing_tree tree_of(index_t size, const subtree_root& root_of) {
  std::vector<digest> roots;
  index_t begin = 0;
  for (int level = 62; level >= 0; --level) {
    const index_t leaves = index_t{1} << level;
    if ((size & leaves) == 0) continue;
    roots.push_back(root_of(level, begin >> level));
    begin += leaves;
  }
  return {size, std::move(roots)};
}

std::vector<digest> inclusion_path(index_t leaf, index_t size, const subtree_root& root_of) {
  std::vector<digest> path;
  for (index_t begin = 0; size > 1;) {
    const index_t left = split(size);
    if (leaf < left) {
      path.push_back(root_of_leaves(begin + left, size - left, root_of));
      size = left;
    } else {
      path.push_back(root_of_leaves(begin, left, root_of));
      begin += left, leaf -= left, size -= left;
    }
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<digest> consistency_path(index_t from, index_t to, const subtree_root& root_of) {
  std::vector<digest> path;
  if (from > 0 && from < to) consistency(from, 0, to, true, root_of, path);
  return path;
}

}  // namespace poolwise
