#include "poolwise/campaign/detail/kept_scores.hpp"

#include <algorithm>
#include <cstring>
#include <system_error>
#include <variant>

#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/files/detail/bytes.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/ledger/merkle.hpp"
#include "poolwise/query/score_columns.hpp"

namespace poolwise {
namespace {

constexpr const char* ending = ".scores";

/// What follows the scores in a file.
std::uint64_t check_of(const std::string& name, const float* scores, std::size_t bytes) {
  hash h;
  h.add(name.data(), name.size());
  h.add(scores, bytes);
  return h.value();
}

}  // namespace

bool scores_by_row(const strategy& what, const query_spec& asked) {
  const stage& first = what.first();
  if (!first.entry->scores() || first.does(trait::draws) || first.does(trait::compares_rows) ||
      first.does(trait::counts_labelled))
    return false;
  const bool alone = what.stages.size() == 1 && asked.distance == metric::euclidean && !asked.apart;
  return alone || !first.needs().has(part::embeddings);
}

std::vector<float> kept_scores::of_rows(const where& on, opened_parts& of, const stage& by, const char* call) {
  const strategy alone{by.text, {by}};
  const parts needed = by.needs();
  std::vector<index_t> ends = of.ends(needed);
  if (needed.has(part::predictions)) ends = {of.inputs().rows};  // they cannot be cut
  const std::string made_by = "poolwise " POOLWISE_VERSION " " + spelled_out(alone) +
                              (std::holds_alternative<cpu>(on) ? " on the CPU\n" : " on devices\n");
  std::vector<float> scores(std::size_t(of.inputs().rows));
  std::vector<std::string> names;
  index_t begin = 0;
  for (const index_t end : ends) {
    const vector_view<float> its{scores.data() + begin, end - begin};
    names.push_back(to_text(leaf_digest(made_by + of.content(needed, begin, end))) + ending);
    if (!read(names.back(), its)) {
      const pool_inputs some = of.rows_of_files(needed, begin, end);
      some.check(call);
      score_columns(on, some, std::span(&alone, 1), matrix_view<float>{its.data, its.size, 1});
      rows_scored_ += its.size;
      write(names.back(), its);
    }
    begin = end;
  }
  remove_others(names);
  return scores;
}

bool kept_scores::read(const std::string& name, vector_view<float> scores) {
  const std::filesystem::path file = folder_ / name;
  std::error_code none;
  if (!std::filesystem::exists(file, none)) return false;
  try {
    const file_bytes content = map_file("campaign", file);
    const std::size_t bytes = std::size_t(scores.size) * sizeof(float);
    std::uint64_t check = 0;
    if (content.size != index_t(bytes + sizeof check)) return false;
    std::memcpy(scores.data, content.data, bytes);
    std::memcpy(&check, content.data + bytes, sizeof check);
    bytes_read_ += std::uint64_t(content.size);
    return check == check_of(name, scores.data, bytes);
  } catch (const error&) {  // another query has removed it
    return false;
  }
}

void kept_scores::write(const std::string& name, vector_view<const float> scores) const {
  try {
    std::filesystem::create_directories(folder_);
    output_file out(folder_ / name);
    const std::size_t bytes = std::size_t(scores.size) * sizeof(float);
    const std::uint64_t check = check_of(name, scores.data, bytes);
    out.write(scores.data, bytes);
    out.write(&check, sizeof check);
    out.commit();
  } catch (const std::exception&) {  // they are made again
  }
}

void kept_scores::remove_others(const std::vector<std::string>& names) const {
  std::error_code none;
  for (const auto& one : std::filesystem::directory_iterator(folder_, none))
    if (one.path().extension() == ending &&
        std::find(names.begin(), names.end(), one.path().filename().string()) == names.end())
      std::filesystem::remove(one.path(), none);
}

}  // namespace poolwise
