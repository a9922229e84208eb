// Arrays by the name of their file, or by its first bytes.
#include <algorithm>
#include <cstring>
#include <optional>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/detail/array_bytes.hpp"
#include "poolwise/files/detail/contents.hpp"

namespace poolwise {
namespace {

namespace fs = std::filesystem;

struct array_spec {
  fs::path file;
  std::string member;
};

bool is_file(const fs::path& file) {
  std::error_code none;
  return fs::exists(file, none) && !fs::is_directory(file, none);
}

// "x.npz:member" and "x.safetensors:tensor" name a part of a file. A part may be called anything, ".npy" or a
// colon too, and so may a folder: the first place to cut that leaves a file decides.
array_spec split(const std::string& spec) {
  std::optional<array_spec> first;
  for (std::size_t colon = spec.find(':'); colon != std::string::npos; colon = spec.find(':', colon + 1)) {
    array_spec cut{spec.substr(0, colon), spec.substr(colon + 1)};
    const std::string ending = ending_of(cut.file);
    if (ending != ".npz" && ending != ".safetensors") continue;
    if (is_file(cut.file)) return cut;
    if (!first) first = cut;
  }
  return first && !is_file(spec) ? *first : array_spec{spec, ""};
}

}  // namespace

void set_data(array& a, const file_bytes& content, index_t begin, const fs::path& file,
              const copy_limit& most) {
  const std::byte* const data = content.data + begin;
  const auto bytes = index_t(a.bytes());
  const bool in_place = reinterpret_cast<std::uintptr_t>(data) % size_of(a.type) == 0;
  if (!in_place)
    require_room(most, "open_array", file, content.held + bytes,
                 "lies where it cannot be read in place, and is copied");
  a.owner = content.owner;
  if (bytes == 0) return;
  if (in_place) {
    a.data = data;
    a.mapped = content.mapped;
    a.held = content.held;
    return;
  }
  const auto copy = allocate_buffer(std::size_t(bytes));
  constexpr index_t block = index_t{1} << 22;
  parallel_blocks(cpu{}, bytes, block, [&](index_t, index_t first, index_t last) {
    std::memcpy(copy.get() + first, data + first, std::size_t(last - first));
  });
  a.data = copy.get();
  a.owner = copy;
  a.held = bytes;
}

std::optional<array> array_in(const file_bytes& content, const fs::path& file, const copy_limit& most) {
  const std::string_view begin = content.text(0, std::min<index_t>(content.size, 9));
  if (begin.starts_with("\x93NUMPY")) return npy_array(content, file, printable(file.string()), most);
  if (begin.starts_with("PK")) return npz_array(content, file, "", most);
  if (begin.size() == 9 && begin[8] == '{') return safetensors_array(content, file, "", most);
  return std::nullopt;
}

fs::path file_of_array(const std::string& spec) { return split(spec).file; }

array open_array(const std::string& spec, const copy_limit& most) {
  const auto [file, member] = split(spec);
  const std::string ending = ending_of(file);
  if (ending == ".npz") return open_npz(file, member, most);
  if (ending == ".safetensors") return open_safetensors(file, member, most);
  if (ending == ".npy") return open_npy(file, most);
  // Such a name says nothing, as /dev/stdin does.
  if (ending.empty()) {
    if (auto found = array_in(load("open_array", file, most), file, most)) return *std::move(found);
    throw format_error("open_array: " + printable(spec) +
                       " holds neither a .npy, a .npz nor a .safetensors file; pass one of these");
  }
  throw format_error("open_array: " + printable(spec) +
                     " is neither a .npy, a .npz nor a .safetensors file by its name; pass FILE.npy, " +
                     "FILE.npz:MEMBER, FILE.safetensors or FILE.safetensors:TENSOR");
}

}  // namespace poolwise
