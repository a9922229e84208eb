#include "poolwise/stream/record.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/file_lock.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

constexpr const char* schema = "poolwise.stream/1";

std::string line_of(const stream_spec& s) {
  nlohmann::ordered_json line{
      {"schema", schema},
      {"rule", stream_rules()[std::size_t(s.rule)].name},
      {"budget", s.budget},
      {"kept_by", int(s.kept_by)},
      {"classes", s.classes},
      {"threshold", s.threshold ? nlohmann::ordered_json(*s.threshold) : nlohmann::ordered_json()},
      {"step", s.step},
      {"deviation", s.deviation},
      {"random_share", s.random_share},
      {"window", s.window},
      {"tolerance", s.tolerance},
      {"least", s.least},
      {"seed", s.seed}};
  return line.dump() + "\n";
}

std::string line_of(const stream_decision& d) {
  return nlohmann::ordered_json{
             {"row", d.row}, {"score", d.score}, {"ask", d.ask}, {"probability", d.probability}}
             .dump() +
         "\n";
}

class appended_file {
 public:
  appended_file(const std::filesystem::path& file, std::size_t size)
      : name_("stream: " + printable(file.string())),
        descriptor_(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) refuse("cannot be opened");
    if (::ftruncate(descriptor_, off_t(size)) != 0 || ::lseek(descriptor_, 0, SEEK_END) < 0) {
      const int reason = errno;
      ::close(descriptor_);
      errno = reason;
      refuse("cannot be written");
    }
  }
  ~appended_file() { ::close(descriptor_); }
  appended_file(const appended_file&) = delete;
  appended_file& operator=(const appended_file&) = delete;

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) refuse("cannot be written");
      bytes.remove_prefix(std::size_t(done));
    }
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    throw io_error(name_ + " " + what + ": " + std::strerror(errno));
  }

  std::string name_;
  int descriptor_;
};

}  // namespace

struct recorded_stream::state {
  explicit state(const stream_spec& spec) : sampler(spec) {}

  /// Decides again what the lines of a record hold; gives the bytes of its whole lines.
  std::size_t replay(const std::string& name, std::string_view text) {
    const std::string spec_line = line_of(sampler.spec());
    const std::size_t first = text.find('\n');
    if (first == std::string_view::npos) {
      // Only a first line that was cut is a beginning of the one that would stand here.
      if (!spec_line.starts_with(text)) refuse_foreign(name);
      return 0;
    }
    const auto head = nlohmann::json::parse(text.substr(0, first), nullptr, false);
    if (!head.is_object() || !head.contains("schema") || head["schema"] != schema) refuse_foreign(name);
    if (text.substr(0, first + 1) != spec_line)
      throw value_error(name +
                        " is of a stream with other options; give those that it was begun with, or name "
                        "another file");
    std::size_t at = first + 1;
    for (std::size_t end; (end = text.find('\n', at)) != std::string_view::npos; at = end + 1) {
      const auto line = nlohmann::json::parse(text.substr(at, end - at), nullptr, false);
      const bool has_score = line.is_object() && line.contains("score") && line["score"].is_number();
      if (!has_score || line_of(sampler.decide(line["score"].get<double>())) != text.substr(at, end + 1 - at))
        throw format_error(name + " is damaged: line " + std::to_string(sampler.rows() + (has_score ? 1 : 2)) +
                           " is no decision of this stream; name another file, and the stream begins anew");
    }
    return at;
  }

  [[noreturn]] static void refuse_foreign(const std::string& name) {
    throw format_error(name + " is not the record of a stream; name another file");
  }

  stream_sampler sampler;
  std::optional<file_lock> lock;
  std::optional<appended_file> file;
};

recorded_stream::recorded_stream(const std::filesystem::path& file, const stream_spec& spec)
    : state_(std::make_unique<state>(spec)) {
  if (file.empty()) return;
  state_->lock.emplace("stream", file);
  std::error_code none;
  const bool there = std::filesystem::exists(file, none);
  const std::string text = there ? read_file("stream", file) : std::string();
  const std::size_t whole = state_->replay("stream: " + printable(file.string()), text);
  state_->file.emplace(file, whole);
  if (whole == 0) state_->file->write(line_of(spec));
}

recorded_stream::~recorded_stream() = default;

stream_decision recorded_stream::decide(double score) {
  const stream_decision made = state_->sampler.decide(score);
  if (state_->file) state_->file->write(line_of(made));
  return made;
}

const stream_sampler& recorded_stream::sampler() const { return state_->sampler; }

}  // namespace poolwise
