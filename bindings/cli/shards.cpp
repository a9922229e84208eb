#include "shards.hpp"

#include <glob.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "poolwise/cluster/mpi.hpp"
#include "poolwise/cluster/placed_rows.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise::cli {
namespace {

constexpr const char* option = "--shard";

/// Where the rows of an array are: a committee's members come first.
std::size_t row_axis(const array& a) { return a.shape.size() == 3 ? 1 : 0; }

/// The names that the shell would make of the pattern.
std::vector<std::string> files_of(const std::string& pattern) {
  glob_t found{};
  const int problem = ::glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> files(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (problem != 0 && problem != GLOB_NOMATCH)
    throw value_error(std::string(option) + ": the folder of " + printable(pattern) +
                      " cannot be read; check the path");
  if (files.empty())
    throw value_error(std::string(option) + ": no file is called " + printable(pattern) +
                      "; check the path, and quote the * so that the shell leaves it");
  return files;
}

/// Two arrays whose rows can stand behind each other.
void require_alike(const array& first, const array& other) {
  const auto beside_rows = [](const array& a) {
    std::vector<index_t> shape = a.shape;
    if (!shape.empty()) shape[row_axis(a)] = 0;
    return shape;
  };
  if (first.type == other.type && beside_rows(first) == beside_rows(other) && first.plain() && other.plain())
    return;
  throw shape_error(other.name + " and " + first.name +
                    " differ in more than their rows; save all shards with one type and shape, in C order");
}

}  // namespace

shard_files::shard_files(const std::string& pattern, communicator& all) : all_(all) {
  const auto star = pattern.find('*');
  if (star == std::string::npos || pattern.find('*', star + 1) != std::string::npos ||
      pattern.find_first_of("?[") != std::string::npos)
    throw usage_error(std::string(option) + ": \"" + printable(pattern) +
                      "\" is no pattern of shards; write one * where their names differ, such as part-*.npy");
  const std::size_t after = pattern.size() - star - 1;
  for (const std::string& file : files_of(pattern))
    names_.push_back(file.substr(star, file.size() - star - after));
  std::sort(names_.begin(), names_.end());
  const auto ranks = std::size_t(all.size()), rank = std::size_t(all.rank());
  begin_ = names_.size() * rank / ranks;
  end_ = names_.size() * (rank + 1) / ranks;
}

std::string shard_files::named(const std::string& spec, std::size_t shard) const {
  const auto star = spec.find('*');
  return spec.substr(0, star) + names_[shard] + spec.substr(star + 1);
}

std::vector<std::string> shard_files::mine(const std::string& spec) const {
  std::vector<std::string> files;
  for (std::size_t shard = begin_; shard < end_; ++shard) files.push_back(named(spec, shard));
  return files;
}

void shard_files::place(index_t rows) {
  common_facts facts{{"shards", std::to_string(names_.size())}};
  if (!names_.empty())
    facts.insert(facts.end(), {{"first shard", names_.front()}, {"last shard", names_.back()}});
  shake_hands(all_, facts);
  rows_ = place_rows(all_, rows);
}

array open_shards(shard_files& shards, const std::string& spec,
                  const std::function<array(const std::string&)>& open,
                  const std::function<void(const std::string&, std::uint64_t)>& made) {
  const std::vector<std::string> files = shards.mine(spec);
  if (files.empty()) {
    array none = open(shards.first(spec));
    if (!none.shape.empty()) none.shape[row_axis(none)] = 0;
    return none;
  }
  std::vector<array> parts;
  for (const std::string& file : files) parts.push_back(open(file));
  if (parts.size() == 1) return parts.front();
  array whole = parts.front();
  const std::size_t axis = row_axis(whole);
  if (whole.shape.empty()) throw shape_error(whole.name + " has no rows; save an array with one for each");
  whole.shape[axis] = 0;
  std::vector<index_t> rows;
  for (const array& part : parts) {
    require_alike(parts.front(), part);
    rows.push_back(part.shape[axis]);
    whole.shape[axis] += rows.back();
  }
  shards.note_rows(std::move(rows));
  made(spec + " of several shards in one array", whole.bytes());
  const auto bytes = std::make_shared<std::vector<std::uint64_t>>((whole.bytes() + 7) / 8);
  auto* to = reinterpret_cast<std::byte*>(bytes->data());
  const index_t slabs = axis == 1 ? whole.shape[0] : 1;
  for (index_t slab = 0; slab < slabs; ++slab)
    for (const array& part : parts) {
      const std::size_t size = part.bytes() / std::size_t(slabs);
      if (size > 0) std::memcpy(to, part.data + std::size_t(slab) * size, size);
      to += size;
    }
  whole.data = reinterpret_cast<const std::byte*>(bytes->data());
  whole.owner = bytes;
  whole.mapped = false;
  whole.held = 0;  // `made` has counted it
  whole.name = spec;
  return whole;
}

void require_patterns(const query_flags& flags) {
  std::vector<std::pair<const char*, std::string>> by_row = {{"--logits", flags.model.logits},
                                                             {"--probs", flags.model.probs},
                                                             {"--predictions", flags.model.predictions},
                                                             {"--label-logits", flags.model.label_logits},
                                                             {"--label-probs", flags.model.label_probs},
                                                             {"--embeddings", flags.embeddings},
                                                             {"--labels", flags.labels},
                                                             {"--cost", flags.cost},
                                                             {"--group", flags.group},
                                                             {"--ids", flags.ids},
                                                             {"--label-logits", flags.model.label_logits},
                                                             {"--label-probs", flags.model.label_probs},
                                                             {"--label-sets", flags.label_sets}};
  for (const std::string& member : flags.model.committee) by_row.emplace_back("--committee", member);
  for (const std::string& member : flags.model.committee_probs)
    by_row.emplace_back("--committee-probs", member);
  for (const std::string& named : flags.also_cost) by_row.emplace_back("--also-cost", named);
  for (const auto& [name, spec] : by_row)
    if (!spec.empty() && !shard_files::is_pattern(spec))
      throw usage_error(std::string(name) + " names one file, " + printable(spec) +
                        ", beside --shard; name one for each shard, with the * that stands for what differs");
  if (!flags.group.empty() && !names_array(flags.group))
    throw usage_error(
        "--group is a table beside --shard; save whole numbers, the same for a group in all shards");
}

int threads_of_rank() {
  const launched_rank here = launched();
  if (here.local_ranks < 2 || std::getenv("OMP_NUM_THREADS") != nullptr) return 0;
  // A launcher that binds ranks to cores has divided these already.
  const int cores = omp_get_num_procs();
  if (std::int64_t(cores) * here.local_ranks <= ::sysconf(_SC_NPROCESSORS_ONLN)) return 0;
  return std::max(1, cores / here.local_ranks);
}

exit_code code_of_ranks(cluster_failure why) {
  switch (why) {
    case cluster_failure::usage:
    case cluster_failure::unequal:
      return usage;
    case cluster_failure::budget:
      return budget_exhausted;
    case cluster_failure::value:
    case cluster_failure::shape:
    case cluster_failure::format:
      return bad_input;
    case cluster_failure::conflict:
      return conflict;
    default:
      return failure;
  }
}

}  // namespace poolwise::cli
