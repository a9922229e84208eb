#include "poolwise/core/interruption.hpp"

#include <utility>

namespace poolwise {
namespace {

constexpr std::chrono::milliseconds between_looks{100};

thread_local interruptible* innermost = nullptr;

}  // namespace

interruptible::interruptible(std::function<void()> look)
    : look_(std::move(look)),
      next_look_(std::chrono::steady_clock::now() + between_looks),
      outer_(std::exchange(innermost, this)) {}

interruptible::~interruptible() { innermost = outer_; }

void heed_interruption() {
  if (innermost == nullptr) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < innermost->next_look_) return;
  innermost->next_look_ = now + between_looks;
  innermost->look_();
}

}  // namespace poolwise
