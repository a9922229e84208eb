// A campaign beside Label Studio: rounds go there as tasks, and what people say there comes into the ledger.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "poolwise/campaign/annotations.hpp"
#include "poolwise/campaign/campaign.hpp"
#include "poolwise/campaign/rounds.hpp"

namespace poolwise {

struct http_request {
  std::string method, path, authorization, body;  ///< the body is JSON; empty: none
};

/// `status` 0: no whole reply came, and `body` says why.
struct http_reply {
  int status = 0;
  std::string body;
};

/// How to reach a Label Studio. No function here looks at a clock or at the network.
struct label_studio_server {
  std::function<http_reply(const http_request&)> call;
  std::function<void(int tries)> pause;  ///< between a try that failed, the so manieth, and the next
  std::string key;                       ///< a token, or a personal access token; told to nobody else
  std::string name;                      ///< for messages: the address
  int tries = 30;                        ///< of one call, before the sentence
};

struct push_request {
  index_t project = 0;  ///< 0: the campaign's own, which is made where it is not there
  std::string media;    ///< as of label_studio_tasks
  std::string source = "label-studio";
};

struct pushed {
  index_t project = 0, tasks = 0;
  index_t sent = 0;   ///< of them, now
  bool made = false;  ///< the project
  std::vector<std::string> remarks;
};

/// Brings the batch of a round into a project of Label Studio, best first. A project is known by the
/// campaign's mark in its description, a task by its item: what is there is not sent again, whenever an earlier
/// push ended. Nothing is changed of a project that is there.
/// throws usage_error as label_studio_tasks and label_studio_config do; value_error where the key or a task is
/// refused, or there is no such project; io_error where no answer came after all tries.
pushed push_round(campaign& of, const handed_out& batch, const label_studio_server& server,
                  const push_request& request, std::int64_t now_ms);

struct pull_request {
  index_t project = 0;  ///< 0: the campaign's own
  std::string source = "label-studio";
  bool changes_only = false;  ///< what changed since the last pull; deletions are not seen
  bool strict = false, overrule = false;
};

struct pulled {
  index_t project = 0, tasks = 0, foreign = 0;  ///< foreign: tasks that no push made
  recorded_annotations recorded;
};

/// Records what people said there. An annotation is known by its project and number, a version of it by the
/// time of its change.
/// throws as push_round and record_annotations do; conflict_error where the project changes faster than it can
/// be read.
pulled pull_annotations(campaign& of, const label_studio_server& server, const pull_request& request,
                        std::int64_t now_ms);

}  // namespace poolwise
