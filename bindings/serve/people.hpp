// Who may come in, and as what.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace poolwise::serve {

enum role : unsigned { annotator = 1, reviewer = 2, manager = 4, auditor = 8, everything = 15 };

/// throws usage_error for another word.
role role_in(const std::string& text);
std::string role_text(unsigned what);

struct person {
  std::string name;
  unsigned is = annotator;
  bool off = false;  ///< may no longer come in
};

/// FOLDER/people.json: names, roles, Argon2id hashes of passwords and the key of the sessions, which outlive
/// the server. Without it everybody on this machine may do everything, under any name.
class people {
 public:
  explicit people(const std::filesystem::path& folder);

  bool open() const;
  bool has_manager() const;
  std::vector<person> all() const;

  /// A new person needs a password; of one that is there, what is given changes, and sessions end.
  /// throws value_error for a name that is not 1 to 40 letters, digits and .-_@, or a password under 10
  /// characters.
  void set(const std::string& name, std::optional<unsigned> is, std::optional<bool> off,
           const std::optional<std::string>& password);

  /// Some 50 ms and 64 MiB, also for a name that is not there; one at a time.
  bool knows(const std::string& name, const std::string& password);

  /// A session of 12 hours, for a cookie; nothing but this program can make one.
  std::string session_of(const std::string& name, std::int64_t now_ms) const;
  std::optional<person> whose(const std::string& session, std::int64_t now_ms) const;
  void end_sessions(const std::string& name);
  /// What a page of that session sends with each change.
  std::string token_of(const std::string& session) const;

 private:
  struct entry {
    person who;
    std::string password;
    std::int64_t epoch = 0;
  };
  void save() const;
  std::string sign(const std::string& text) const;

  std::filesystem::path file_;
  mutable std::mutex lock_;
  std::mutex one_hash_;
  std::map<std::string, entry> entries_;
  std::map<std::string, std::int64_t> open_epochs_;
  std::string key_;
};

/// So many at once, and so many a second from then on, each name on its own.
class rate_limit {
 public:
  rate_limit(double at_once, double a_second) : at_once_(at_once), a_second_(a_second) {}
  bool allows(const std::string& name);

 private:
  struct bucket {
    double left;
    std::chrono::steady_clock::time_point at;
  };
  double at_once_, a_second_;
  std::mutex lock_;
  std::map<std::string, bucket> buckets_;
};

}  // namespace poolwise::serve
