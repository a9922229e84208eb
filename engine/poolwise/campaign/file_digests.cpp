#include "poolwise/campaign/detail/file_digests.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

constexpr std::int64_t second = 1'000'000'000;

std::int64_t ns_of(const timespec& time) { return std::int64_t(time.tv_sec) * second + time.tv_nsec; }

/// How far apart two changes must lie to have different times: file systems count in a few milliseconds, or in
/// whole seconds or two.
std::int64_t tick_of(const file_state& state) {
  return state.modified_ns % second == 0 && state.changed_ns % second == 0 ? 2 * second : second / 20;
}

}  // namespace

std::optional<file_state> state_of(const std::filesystem::path& file) {
  struct stat found {};
  if (::stat(file.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) return std::nullopt;
  return file_state{std::uint64_t(found.st_dev), std::uint64_t(found.st_ino), std::uint64_t(found.st_size),
                    ns_of(found.st_ctim), ns_of(found.st_mtim)};
}

std::filesystem::path kept_in(const std::filesystem::path& folder) { return folder / "rounds" / "kept"; }

file_digests::file_digests(const std::filesystem::path& folder) : file_(kept_in(folder) / "files.json") {
  const auto written = state_of(file_);
  if (!written) return;
  try {
    const json all = json::parse(read_file("campaign", file_));
    for (const auto& [spec, one] : all.items()) {
      entry known{{one.at("device"), one.at("inode"), one.at("bytes"), one.at("changed"), one.at("modified")},
                  one.at("sha256")};
      known.settled = std::max(known.state.changed_ns, known.state.modified_ns) + tick_of(known.state) <
                      written->modified_ns;
      entries_.emplace(spec, std::move(known));
    }
  } catch (const std::exception&) {
    entries_.clear();  // then all is read again
  }
}

std::optional<std::string> file_digests::find(const std::string& spec, const file_state& now) const {
  const auto found = entries_.find(spec);
  const bool same = found != entries_.end() && found->second.settled && found->second.state == now;
  return same ? std::optional(found->second.sha256) : std::nullopt;
}

void file_digests::add(const std::string& spec, const file_state& state, const std::string& sha256) {
  entries_[spec] = {state, sha256, false};
  changed_ = true;
}

void file_digests::save() const noexcept {
  if (!changed_) return;
  try {
    json all = json::object();
    for (const auto& [spec, one] : entries_)
      all[spec] = {{"device", one.state.device},        {"inode", one.state.inode},
                   {"bytes", one.state.bytes},          {"changed", one.state.changed_ns},
                   {"modified", one.state.modified_ns}, {"sha256", one.sha256}};
    std::filesystem::create_directories(file_.parent_path());
    write_text(file_, all.dump());
  } catch (const std::exception&) {
  }
}

}  // namespace poolwise
