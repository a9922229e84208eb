#include "http.hpp"

#include <httplib.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "replies.hpp"

namespace poolwise::serve {
namespace {

constexpr std::size_t most_threads = 512, body_bytes = 1 << 20;

/// A thread for each connection that is open, up to `most_threads`; those that ended are used again.
class growing_pool : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> job) override {
    const std::lock_guard hold(lock_);
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < most_threads) threads_.emplace_back([this] { work(); });
    wake_.notify_one();
  }
  void shutdown() override {
    {
      const std::lock_guard hold(lock_);
      ends_ = true;
    }
    wake_.notify_all();
    for (std::thread& one : threads_) one.join();
  }

 private:
  void work() {
    std::unique_lock hold(lock_);
    for (;;) {
      ++idle_;
      wake_.wait(hold, [&] { return ends_ || !jobs_.empty(); });
      --idle_;
      if (jobs_.empty()) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      hold.unlock();
      job();
      hold.lock();
    }
  }

  std::mutex lock_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool ends_ = false;
};

/// Room for as many browsers to connect at once as a team has; the library's own is for five.
template <class Server>
struct roomy : Server {
  using Server::Server;
  void widen() { ::listen(this->svr_sock_, 1024); }
};

std::string header(const httplib::Request& from, const char* name) { return from.get_header_value(name); }

request request_of(const httplib::Request& from, bool behind_proxy) {
  request asked;
  asked.method = from.method;
  asked.path = from.path;
  asked.body = from.body;
  asked.host = header(from, "Host");
  asked.origin = header(from, "Origin");
  asked.content_type = header(from, "Content-Type");
  asked.cookie = header(from, "Cookie");
  asked.token = header(from, "X-Page-Token");
  asked.address = from.remote_addr;
  if (behind_proxy) {  // the proxy adds the last one
    const std::string chain = header(from, "X-Forwarded-For");
    if (!chain.empty()) asked.address = chain.substr(chain.rfind(',') + 1);
  }
  for (const auto& [name, value] : from.params) asked.query.emplace(name, value);
  return asked;
}

void send(const response& made, httplib::Response& to) {
  to.status = made.status;
  for (const auto& [name, value] : made.headers) to.set_header(name.c_str(), value.c_str());
  to.set_content(made.body, made.type.c_str());
}

template <class Server>
void run(Server& server, const serve_options& options, api& answers, const std::function<void(int)>& ready) {
  server.new_task_queue = [] { return new growing_pool; };
  server.set_keep_alive_max_count(1'000'000);
  server.set_keep_alive_timeout(5);
  server.set_read_timeout(10);
  server.set_write_timeout(20);
  server.set_payload_max_length(body_bytes);
  server.set_tcp_nodelay(true);
  const bool proxy = !options.behind_proxy.empty();
  const auto handle = [&answers, proxy](const httplib::Request& from, httplib::Response& to) {
    send(answers.answer(request_of(from, proxy)), to);
  };
  server.Get("/.*", handle);
  server.Post("/.*", handle);
  server.set_error_handler([&](const httplib::Request& from, httplib::Response& to) {
    if (!to.body.empty()) return;
    // What the library refused before it was asked of us: other methods, bodies that are too large, nonsense.
    const int status = to.status;
    send(answers.answer(request_of(from, proxy)), to);
    if (to.status < 400 || status != 404) {
      send(error_reply(status, "this cannot be read"), to);
    }
  });
  const int port = options.port == 0 ? server.bind_to_any_port(options.host.c_str())
                   : server.bind_to_port(options.host.c_str(), options.port) ? options.port
                                                                             : -1;
  if (port < 0)
    throw io_error("serve: cannot listen at " + printable(options.host) + ":" + std::to_string(options.port) +
                   "; another program may be at it: choose another port (--port)");
  server.widen();
  ready(port);
  server.listen_after_bind();
}

}  // namespace

void listen(const serve_options& options, api& answers, const std::function<void(int port)>& ready) {
  if (options.certificate.empty()) {
    roomy<httplib::Server> server;
    return run(server, options, answers, ready);
  }
  roomy<httplib::SSLServer> server(options.certificate.c_str(), options.key.c_str());
  if (!server.is_valid())
    throw usage_error("serve: the certificate " + printable(options.certificate) + " or its key " +
                      printable(options.key) + " cannot be read as PEM");
  run(server, options, answers, ready);
}

}  // namespace poolwise::serve
