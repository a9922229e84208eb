// The one thread that uses the ledger: requests that come at a time are recorded in one change.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/campaign/desk.hpp"

namespace poolwise::serve {

using json = nlohmann::json;

/// By the machine's clock, since 1970.
std::int64_t machine_now_ms();

/// What a request sees, and where its events go.
struct office_view {
  desk& at;
  const tables& seen;
  std::int64_t now_ms;
  std::vector<new_event>& events;

  /// Puts the events of an outcome to the others, and says what became of it.
  json keep(desk_outcome outcome) const;
};

class office {
 public:
  explicit office(campaign of);
  ~office();
  office(const office&) = delete;
  office& operator=(const office&) = delete;

  using work = std::function<json(const office_view&)>;

  /// What `what` returns, once its events are safe on disk. Throws what it throws, and as campaign::record.
  json ask(work what);

  /// Milliseconds since 1970 that never go back and never jump: by the steady clock, from the machine's clock
  /// or the ledger's last event, whichever is later, on.
  std::int64_t now_ms() const;

 private:
  struct job {
    work what;
    std::promise<json> done;
  };
  void run();
  void record(std::vector<job>& jobs);
  void record_one_by_one(std::vector<job>& jobs, std::exception_ptr problem);

  campaign of_;
  desk desk_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::int64_t begin_ms_ = 0, latest_ms_ = 0;

  std::mutex lock_;
  std::condition_variable wake_;
  std::vector<job> waiting_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace poolwise::serve
