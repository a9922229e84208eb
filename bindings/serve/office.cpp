#include "office.hpp"

#include <algorithm>
#include <utility>

#include "poolwise/core/error.hpp"

namespace poolwise::serve {
namespace {

constexpr std::size_t at_a_time = 500;

}  // namespace

std::int64_t machine_now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

json office_view::keep(desk_outcome outcome) const {
  json said{{"state", outcome.state}};
  if (outcome.event) said["event"] = *outcome.event;
  if (!outcome.events.empty()) said["event"] = seen.size() + index_t(events.size());
  for (new_event& one : outcome.events) events.push_back(std::move(one));
  return said;
}

office::office(campaign of) : of_(std::move(of)), desk_(of_.settings()) {
  const std::int64_t last = of_.log().read([](const tables& seen) { return seen.at(seen.size() - 1).at_ms; });
  begin_ms_ = std::max(machine_now_ms(), last);
  of_.record(
      begin_ms_, [](const tables&) { return std::vector<new_event>{}; },
      backward_clock::keep_last);  // the settings, if they were changed
  of_.log().read([&](const tables& seen) { desk_.follow(seen); });
  thread_ = std::thread([this] { run(); });
}

office::~office() {
  {
    const std::lock_guard hold(lock_);
    ends_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

std::int64_t office::now_ms() const {
  return begin_ms_ +
         std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin_)
             .count();
}

json office::ask(work what) {
  std::future<json> answer;
  {
    const std::lock_guard hold(lock_);
    waiting_.push_back({std::move(what), {}});
    answer = waiting_.back().done.get_future();
  }
  wake_.notify_one();
  return answer.get();
}

void office::run() {
  for (;;) {
    std::vector<job> jobs;
    {
      std::unique_lock hold(lock_);
      wake_.wait(hold, [&] { return ends_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const auto end = waiting_.begin() + std::ptrdiff_t(std::min(at_a_time, waiting_.size()));
      jobs.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
      waiting_.erase(waiting_.begin(), end);
    }
    record(jobs);
  }
}

/// The desk is told of events as they come, so that the next request sees them. Where the ledger then refuses
/// the change, the desk is made again from what is recorded.
void office::record(std::vector<job>& jobs) {
  struct result {
    json said = {};
    std::exception_ptr problem = {};
  };
  std::vector<result> results(jobs.size());
  index_t first = 0;
  try {
    const std::int64_t now = std::max(now_ms(), latest_ms_);
    const auto decide = [&](const tables& seen) {
      desk_.follow(seen);
      latest_ms_ = std::max(now, seen.at(seen.size() - 1).at_ms);
      first = seen.size();
      std::vector<new_event> events;
      for (std::size_t k = 0; k < jobs.size(); ++k) {
        const std::size_t before = events.size();
        try {
          results[k].said = jobs[k].what({desk_, seen, latest_ms_, events});
        } catch (...) {
          results[k].problem = std::current_exception();
          events.resize(before);
        }
        for (std::size_t i = before; i < events.size(); ++i)
          desk_.fold({first + index_t(i), latest_ms_, events[i].kind, events[i].body});
      }
      return events;
    };
    const std::vector<index_t> numbers = of_.record(now, decide, backward_clock::keep_last);
    if (!numbers.empty() && numbers.front() != first) desk_ = desk(of_.settings());
  } catch (...) {
    desk_ = desk(of_.settings());
    return record_one_by_one(jobs, std::current_exception());
  }
  for (std::size_t k = 0; k < jobs.size(); ++k)
    results[k].problem ? jobs[k].done.set_exception(results[k].problem)
                       : jobs[k].done.set_value(std::move(results[k].said));
}

/// One request that the ledger refuses does not take others with it.
void office::record_one_by_one(std::vector<job>& jobs, std::exception_ptr problem) {
  if (jobs.size() == 1) return jobs[0].done.set_exception(std::move(problem));
  for (job& one : jobs) {
    std::vector<job> alone;
    alone.push_back(std::move(one));
    record(alone);
  }
}

}  // namespace poolwise::serve
