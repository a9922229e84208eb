#include "poolwise/campaign/leases.hpp"

#include <algorithm>

namespace poolwise {

void lease_book::add(const std::string& item) {
  if (!place_of_.try_emplace(item, entries_.size()).second) return;
  open_.insert(entries_.size());
  entries_.push_back({.item = item});
  ++unfinished_;
}

std::optional<std::size_t> lease_book::place_of(const std::string& item) const {
  const auto found = place_of_.find(item);
  return found == place_of_.end() ? std::nullopt : std::optional(found->second);
}

/// Whether anybody else could be asked.
void lease_book::settle(std::size_t place) {
  const entry& one = entries_[place];
  const bool wanted = !finished(one) && index_t(one.answered.size() + one.held.size()) < overlap_;
  wanted ? void(open_.insert(place)) : void(open_.erase(place));
}

void lease_book::end_lease(const std::string& person, std::size_t place) {
  entry& one = entries_[place];
  const auto lent = one.held.find(person);
  if (lent == one.held.end()) return;
  ends_.erase({lent->second, place, person});
  one.held.erase(lent);
  const auto mine = held_by_.find(person);
  mine->second.erase(place);
  if (mine->second.empty()) held_by_.erase(mine);
}

void lease_book::close(const std::string& item) {
  const auto place = place_of(item);
  if (!place || entries_[*place].closed) return;
  if (!finished(entries_[*place])) --unfinished_;
  entries_[*place].closed = true;
  while (!entries_[*place].held.empty()) end_lease(std::string(entries_[*place].held.begin()->first), *place);
  settle(*place);
}

void lease_book::grant(const std::string& person, const lease& lent) {
  const auto place = place_of(lent.item);
  if (!place || finished(entries_[*place])) return;
  end_lease(person, *place);
  entries_[*place].held[person] = lent.until_ms;
  entries_[*place].lent.insert(person);
  held_by_[person].insert(*place);
  ends_.insert({lent.until_ms, *place, person});
  settle(*place);
}

std::vector<lease> lease_book::take(const std::string& person, index_t count, std::int64_t now_ms) {
  expire(now_ms);
  std::vector<std::size_t> chosen;
  if (const auto mine = held_by_.find(person); mine != held_by_.end())
    chosen.assign(mine->second.begin(), mine->second.end());
  for (auto place = open_.begin(); place != open_.end() && index_t(chosen.size()) < count; ++place) {
    const entry& one = entries_[*place];
    if (one.held.count(person) + one.answered.count(person) + one.skipped.count(person) == 0)
      chosen.push_back(*place);
  }
  if (index_t(chosen.size()) > count) chosen.resize(std::size_t(std::max<index_t>(0, count)));
  std::sort(chosen.begin(), chosen.end());
  std::vector<lease> lent;
  for (const std::size_t place : chosen) {
    lent.push_back({entries_[place].item, clock_ms_ + term_ms_});
    grant(person, lent.back());
  }
  return lent;
}

bool lease_book::give_back(const std::string& person, const std::string& item, bool skipped) {
  const auto place = place_of(item);
  if (!place || !holds(person, item)) return false;
  end_lease(person, *place);
  if (skipped) entries_[*place].skipped.insert(person);
  settle(*place);
  return true;
}

answer_is lease_book::answer(const std::string& person, const std::string& item) {
  const auto place = place_of(item);
  if (!place) return answer_is::unknown;
  entry& one = entries_[*place];
  end_lease(person, *place);
  if (one.answered.count(person) != 0) return answer_is::again;
  const bool was_finished = finished(one);
  one.answered.insert(person);
  if (!was_finished && finished(one)) {
    --unfinished_;
    while (!one.held.empty()) end_lease(std::string(one.held.begin()->first), *place);
  }
  settle(*place);
  return was_finished ? answer_is::surplus : answer_is::wanted;
}

void lease_book::withdraw(const std::string& person, const std::string& item) {
  const auto place = place_of(item);
  if (!place) return;
  const bool was_finished = finished(entries_[*place]);
  entries_[*place].answered.erase(person);
  count_unfinished(*place, was_finished);
}

void lease_book::reopen(const std::string& item) {
  const auto place = place_of(item);
  if (!place) return;
  const bool was_finished = finished(entries_[*place]);
  entries_[*place].closed = false;
  count_unfinished(*place, was_finished);
}

void lease_book::count_unfinished(std::size_t place, bool was_finished) {
  unfinished_ += int(was_finished) - int(finished(entries_[place]));
  settle(place);
}

void lease_book::expire(std::int64_t now_ms) {
  clock_ms_ = std::max(clock_ms_, now_ms);
  while (!ends_.empty() && std::get<0>(*ends_.begin()) <= clock_ms_) {
    const auto [until, place, person] = *ends_.begin();
    end_lease(person, place);
    settle(place);
  }
}

bool lease_book::holds(const std::string& person, const std::string& item) const {
  const auto place = place_of(item);
  return place && entries_[*place].held.count(person) != 0;
}

bool lease_book::was_lent(const std::string& person, const std::string& item) const {
  const auto place = place_of(item);
  return place && entries_[*place].lent.count(person) != 0;
}

std::vector<lease> lease_book::held_by(const std::string& person) const {
  std::vector<lease> lent;
  if (const auto mine = held_by_.find(person); mine != held_by_.end())
    for (const std::size_t place : mine->second)
      lent.push_back({entries_[place].item, entries_[place].held.at(person)});
  return lent;
}

}  // namespace poolwise
