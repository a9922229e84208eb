// What there is to choose from.
#include <vector>

#include "border.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise::c {
namespace {

/// Texts that entries make on the way, kept.
struct kept_texts {
  std::string needs, example;
};

const std::vector<kept_texts>& texts() {
  static const auto& all = *[] {
    auto* const made = new std::vector<kept_texts>;
    for (const strategy_entry& entry : strategies()) made->push_back({entry.needs_text(), entry.example()});
    return made;
  }();
  return all;
}

template <class List>
const auto& at_place(const char* call, const char* what, const List& list, std::int64_t at) {
  if (at < 0 || std::size_t(at) >= list.size())
    refuse(call, std::string(what) + " " + std::to_string(at) + " of " + std::to_string(list.size()) +
                     ", which count from 0; pass one that is there");
  return list[std::size_t(at)];
}

}  // namespace
}  // namespace poolwise::c

using namespace poolwise;
using namespace poolwise::c;

extern "C" {

int64_t poolwise_strategy_count(void) { return std::int64_t(strategies().size()); }

poolwise_status poolwise_strategy_at(int64_t at, poolwise_strategy* strategy) {
  const char* const call = __func__;
  return guarded(call, [&] {
    const result place(call, "poolwise_strategy", strategy);
    const strategy_entry& e = at_place(call, "strategy", strategies(), at);
    const kept_texts& text = texts()[std::size_t(at)];
    place.give({0, e.name, e.kind, e.formula, text.needs.c_str(), e.source, e.on_devices, text.example.c_str(),
                std::int64_t(e.parameters.size())});
  });
}

poolwise_status poolwise_parameter_at(int64_t strategy, int64_t at, poolwise_parameter* given) {
  const char* const call = __func__;
  return guarded(call, [&] {
    const result place(call, "poolwise_parameter", given);
    const parameter& p =
        at_place(call, "parameter", at_place(call, "strategy", strategies(), strategy).parameters, at);
    place.give({0, p.name, p.meaning, p.standard, p.range.least, p.range.most});
  });
}

}  // extern "C"
