#include "people.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise::serve {
namespace {

using json = nlohmann::json;

constexpr std::int64_t session_ms = 12 * 3'600'000;
constexpr const char* words[] = {"annotator", "reviewer", "manager", "auditor"};

std::string hex(const unsigned char* bytes, std::size_t size) {
  std::string text(2 * size + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes, size);
  text.pop_back();
  return text;
}

std::string random_hex() {
  std::array<unsigned char, 32> bytes{};
  randombytes_buf(bytes.data(), bytes.size());
  return hex(bytes.data(), bytes.size());
}

std::string hashed(const std::string& password) {
  std::array<char, crypto_pwhash_STRBYTES> text{};
  if (crypto_pwhash_str(text.data(), password.data(), password.size(), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                        crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
    throw io_error("serve: no memory to hash a password");
  return text.data();
}

void require_name(const std::string& name) {
  constexpr const char* letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@";
  if (name.empty() || name.size() > 40 || name.find_first_not_of(letters) != name.npos)
    throw value_error("a name is 1 to 40 letters, digits and .-_@");
}

}  // namespace

role role_in(const std::string& text) {
  for (unsigned k = 0; k < 4; ++k)
    if (text == words[k]) return role(1u << k);
  throw usage_error("there is no role \"" + printable(text, 40) +
                    "\"; choose annotator, reviewer, manager or auditor");
}

std::string role_text(unsigned what) {
  if (what == everything) return "everything";
  for (unsigned k = 0; k < 4; ++k)
    if (what == (1u << k)) return words[k];
  return "nobody";
}

people::people(const std::filesystem::path& folder) : file_(folder / "people.json"), key_(random_hex()) {
  if (sodium_init() < 0) throw io_error("serve: libsodium cannot begin");
  if (!std::filesystem::exists(file_)) return;
  const json read = json::parse(read_file("serve", file_), nullptr, false);
  try {
    key_ = read.at("key");
    for (const json& one : read.at("people"))
      entries_[one.at("name")] = {
          {one.at("name"), role_in(one.at("role")), one.at("off")}, one.at("password"), one.at("epoch")};
  } catch (const json::exception&) {
    throw format_error("serve: " + printable(file_.string()) + " cannot be read; bring back what it was");
  }
}

bool people::open() const {
  const std::lock_guard hold(lock_);
  return entries_.empty();
}

bool people::has_manager() const {
  const std::lock_guard hold(lock_);
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const auto& one) { return one.second.who.is == manager && !one.second.who.off; });
}

std::vector<person> people::all() const {
  const std::lock_guard hold(lock_);
  std::vector<person> list;
  for (const auto& [name, one] : entries_) list.push_back(one.who);
  return list;
}

void people::set(const std::string& name, std::optional<unsigned> is, std::optional<bool> off,
                 const std::optional<std::string>& password) {
  require_name(name);
  if (password && (password->size() < 10 || password->size() > 1000))
    throw value_error("a password has 10 to 1,000 characters");
  std::optional<std::string> hash;
  if (password) {
    const std::lock_guard one(one_hash_);
    hash = hashed(*password);
  }
  const std::lock_guard hold(lock_);
  const auto known = entries_.find(name);
  if (known == entries_.end() && !hash) throw value_error("a new person needs a password of 10 characters");
  entry now;
  if (known != entries_.end()) now = known->second;
  now.who.name = name;
  if (is) now.who.is = *is;
  if (off) now.who.off = *off;
  if (hash) now.password = *hash;
  ++now.epoch;
  const bool last_manager = std::none_of(entries_.begin(), entries_.end(), [&](const auto& one) {
    return one.first != name && one.second.who.is == manager && !one.second.who.off;
  });
  if (last_manager && known != entries_.end() && known->second.who.is == manager &&
      (now.who.is != manager || now.who.off))
    throw value_error("the last manager stays one; make another person manager first");
  entries_[name] = now;
  save();
}

void people::save() const {
  json list = json::array();
  for (const auto& [name, one] : entries_)
    list.push_back({{"name", name},
                    {"role", role_text(one.who.is)},
                    {"off", one.who.off},
                    {"password", one.password},
                    {"epoch", one.epoch}});
  write_text(file_, json{{"key", key_}, {"people", list}}.dump(1) + "\n");
  std::filesystem::permissions(file_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

bool people::knows(const std::string& name, const std::string& password) {
  // A hash of no password, so that a name that is not there takes as long.
  static const std::string nobody = hashed(random_hex());
  std::string hash = nobody;
  bool may = false;
  {
    const std::lock_guard hold(lock_);
    if (const auto found = entries_.find(name); found != entries_.end()) {
      hash = found->second.password;
      may = !found->second.who.off;
    }
  }
  const std::lock_guard one(one_hash_);
  return crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0 && may;
}

/// Of the key and the text, so that nobody else can make it.
std::string people::sign(const std::string& text) const {
  std::array<unsigned char, crypto_generichash_BYTES> mac{};
  crypto_generichash(mac.data(), mac.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     reinterpret_cast<const unsigned char*>(key_.data()), key_.size());
  return hex(mac.data(), mac.size());
}

std::string people::session_of(const std::string& name, std::int64_t now_ms) const {
  require_name(name);
  const std::lock_guard hold(lock_);
  std::int64_t epoch = 0;
  if (const auto found = entries_.find(name); found != entries_.end()) epoch = found->second.epoch;
  if (const auto found = open_epochs_.find(name); found != open_epochs_.end()) epoch = found->second;
  const std::string text = name + "|" + std::to_string(epoch) + "|" + std::to_string(now_ms + session_ms);
  return text + "|" + sign(text);
}

std::optional<person> people::whose(const std::string& session, std::int64_t now_ms) const {
  const std::size_t third = session.rfind('|');
  if (third == session.npos || third == 0) return std::nullopt;
  const std::string text = session.substr(0, third), mac = session.substr(third + 1);
  const std::lock_guard hold(lock_);
  const std::string due = sign(text);
  if (mac.size() != due.size() || sodium_memcmp(mac.data(), due.data(), due.size()) != 0) return std::nullopt;
  const std::size_t second = text.rfind('|'), first = text.rfind('|', second - 1);
  const std::string name = text.substr(0, first);
  const auto epoch = number_in<std::int64_t>(text.substr(first + 1, second - first - 1));
  const auto until = number_in<std::int64_t>(text.substr(second + 1));
  if (!epoch || !until || *until <= now_ms) return std::nullopt;
  if (entries_.empty()) {
    const auto ended = open_epochs_.find(name);
    if (ended != open_epochs_.end() && ended->second != *epoch) return std::nullopt;
    return person{name, everything, false};
  }
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second.epoch != *epoch || found->second.who.off) return std::nullopt;
  return found->second.who;
}

void people::end_sessions(const std::string& name) {
  const std::lock_guard hold(lock_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    ++open_epochs_[name];
    return;
  }
  ++found->second.epoch;
  save();
}

std::string people::token_of(const std::string& session) const {
  const std::lock_guard hold(lock_);
  return sign("page " + session);
}

bool rate_limit::allows(const std::string& name) {
  constexpr std::size_t most = 20'000;
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard hold(lock_);
  if (buckets_.size() > most) buckets_.clear();
  bucket& one = buckets_.try_emplace(name, bucket{at_once_, now}).first->second;
  one.left = std::min(at_once_, one.left + std::chrono::duration<double>(now - one.at).count() * a_second_);
  one.at = now;
  if (one.left < 1) return false;
  one.left -= 1;
  return true;
}

}  // namespace poolwise::serve
