// The safetensors format: 8 bytes of header length, a JSON header, the data.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/detail/array_bytes.hpp"
#include "poolwise/files/detail/contents.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

constexpr index_t length_bytes = 8;
constexpr index_t longest_header = 100'000'000;  // the limit of the reference implementation
constexpr std::size_t shown = 80;                // bytes of foreign text in a message
constexpr const char* metadata = "__metadata__";

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw format_error("open_safetensors: " + file + " " + what);
}

index_t header_bytes(const file_bytes& content, const std::string& file) {
  if (content.size < length_bytes)
    refuse(file, "is not a .safetensors file (" + std::to_string(content.size) +
                     " bytes); write it with safetensors.numpy.save_file");
  std::span<const std::byte> length(content.data, length_bytes);
  const std::uint64_t size = take_number(length);
  if (size > std::uint64_t(longest_header))
    refuse(file, "has a header of " + std::to_string(size) + " bytes; at most " +
                     std::to_string(longest_header) + " are allowed, is it a .safetensors file?");
  if (index_t(size) > content.size - length_bytes)
    refuse(file, "is truncated: its header needs " + std::to_string(size) + " bytes, the file has " +
                     std::to_string(content.size - length_bytes) + " more; write it again");
  return index_t(size);
}

// Of two entries of one name a parser may keep either: such a file means different things to its readers.
json parse_header(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string>> names;  // by depth
  const auto refuse_repeated = [&](int depth, json::parse_event_t event, json& value) {
    const bool object = event == json::parse_event_t::object_start;
    if ((object || event == json::parse_event_t::array_start) && depth > 2)
      refuse(file,
             "has a header that is nested deeper than the format; write it again with "
             "safetensors.numpy.save_file");
    if (object) names.resize(std::size_t(depth) + 2);
    if (event == json::parse_event_t::object_end) names.resize(std::size_t(depth) + 1);
    if (event != json::parse_event_t::key) return true;
    const auto name = value.get<std::string>();
    if (!names[std::size_t(depth)].insert(name).second)
      refuse(file, std::string(depth == 1 ? "names the tensor '" : "has the key '") + printable(name, shown) +
                       "' twice" + (depth == 1 ? "" : " in one entry") +
                       "; write it again under different names");
    return true;
  };
  // The parser would take the zero for the end.
  if (text.find('\0') != std::string_view::npos)
    refuse(file, "has a zero byte in its header; write it again with safetensors.numpy.save_file");
  try {
    json header = json::parse(text, refuse_repeated);
    if (header.is_object()) return header;
  } catch (const json::exception& problem) {
    refuse(file, "has a header that is not JSON: " + printable(problem.what(), 2 * shown) +
                     "; write it again with safetensors.numpy.save_file");
  }
  refuse(file, "has a header that is not a JSON object; write it again with safetensors.numpy.save_file");
}

std::vector<index_t> whole_numbers(const json& values) {
  std::vector<index_t> numbers;
  for (const json& value : values) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >> 63 != 0)
      throw format_error("numbers of at most 63 bits, none negative");
    numbers.push_back(value.get<index_t>());
  }
  return numbers;
}

struct tensor_entry {
  std::string type;
  std::vector<index_t> shape;
  index_t begin = 0, end = 0;
};

tensor_entry parse_entry(const json& entry) {
  if (!entry.is_object()) throw format_error("an object");
  const auto type = entry.find("dtype"), shape = entry.find("shape"), offsets = entry.find("data_offsets");
  if (type == entry.end() || !type->is_string()) throw format_error("a string `dtype`");
  if (shape == entry.end() || !shape->is_array()) throw format_error("an array `shape`");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2)
    throw format_error("an array `data_offsets` of two numbers");
  const std::vector<index_t> range = whole_numbers(*offsets);
  if (range[0] > range[1]) throw format_error("`data_offsets` that ascend");
  return {type->get<std::string>(), whole_numbers(*shape), range[0], range[1]};
}

std::map<std::string, tensor_entry> parse_entries(const json& header, const std::string& file) {
  std::map<std::string, tensor_entry> entries;
  for (const auto& [name, entry] : header.items()) {
    try {
      if (name == metadata) {
        if (!entry.is_object()) throw format_error("an object");
        for (const auto& [key, value] : entry.items())
          if (!value.is_string()) throw format_error("a string `" + printable(key, shown) + "`");
        continue;
      }
      entries.emplace(name, parse_entry(entry));
    } catch (const format_error& expected) {
      refuse(file, "has a malformed entry '" + printable(name, shown) + "': expected " + expected.what() +
                       "; write it again with safetensors.numpy.save_file");
    }
  }
  return entries;
}

// The data of the tensors lie one behind the other, from the first byte to the last.
void require_tiled(const std::map<std::string, tensor_entry>& entries, index_t there, const std::string& file) {
  using named_entry = std::map<std::string, tensor_entry>::value_type;
  std::vector<const named_entry*> by_place;
  for (const named_entry& one : entries) by_place.push_back(&one);
  std::stable_sort(by_place.begin(), by_place.end(), [](const named_entry* a, const named_entry* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  index_t needed = 0;
  for (const named_entry* one : by_place) needed = std::max(needed, one->second.end);
  if (there != needed)
    refuse(file, std::string("is ") + (there < needed ? "truncated" : "longer than its header says") +
                     ": its tensors need " + std::to_string(needed) + " bytes of data, the file has " +
                     std::to_string(there) + "; write it again");
  index_t end = 0;
  for (const named_entry* one : by_place) {
    if (one->second.begin != end)
      refuse(file, "has " + std::string(one->second.begin < end ? "bytes of more than one tensor" : "a hole") +
                       " before the end of tensor '" + printable(one->first, shown) +
                       "'; write it again with safetensors.numpy.save_file");
    end = one->second.end;
  }
}

std::string list_of(const std::map<std::string, tensor_entry>& entries) {
  constexpr std::size_t most = 20;
  std::string text;
  std::size_t listed = 0;
  for (const auto& [name, entry] : entries) {
    if (++listed > most) return text + " and " + std::to_string(entries.size() - most) + " more";
    text += (listed > 1 ? ", '" : "'") + printable(name, shown) + "'";
  }
  return text.empty() ? "none" : text;
}

const std::pair<const std::string, tensor_entry>& choose(const std::map<std::string, tensor_entry>& entries,
                                                         const std::string& tensor, const std::string& file) {
  if (tensor.empty() && entries.size() == 1) return *entries.begin();
  if (tensor.empty())
    refuse(file, "holds " + std::to_string(entries.size()) + " tensors (" + list_of(entries) +
                     "); name one, as FILE.safetensors:TENSOR");
  const auto found = entries.find(tensor);
  if (found == entries.end())
    refuse(file, "has no tensor '" + printable(tensor, shown) + "'; it holds " + list_of(entries));
  return *found;
}

dtype type_of(const std::string& type, const std::string& name) {
  constexpr std::pair<std::string_view, dtype> types[] = {
      {"F16", dtype::f2}, {"BF16", dtype::bf16}, {"F32", dtype::f4}, {"F64", dtype::f8},  {"I32", dtype::i4},
      {"I64", dtype::i8}, {"U32", dtype::u4},    {"U64", dtype::u8}, {"BOOL", dtype::b1}, {"I8", dtype::i1},
      {"I16", dtype::i2}, {"U8", dtype::u1},     {"U16", dtype::u2}};
  for (const auto& [word, known] : types)
    if (type == word) return known;
  refuse(name,
         "has dtype " + printable(type, shown) +
             "; supported are F16, BF16, F32, F64, BOOL, I8 to I64 and U8 to U64: convert it before saving");
}

}  // namespace

array open_safetensors(const std::filesystem::path& file, const std::string& tensor, const copy_limit& most) {
  return safetensors_array(load("open_safetensors", file, most), file, tensor, most);
}

array safetensors_array(const file_bytes& content, const std::filesystem::path& file, const std::string& tensor,
                        const copy_limit& most) {
  const std::string file_name = printable(file.string());
  const index_t header = header_bytes(content, file_name), data_at = length_bytes + header;
  const auto entries = parse_entries(parse_header(content.text(length_bytes, header), file_name), file_name);
  require_tiled(entries, content.size - data_at, file_name);

  const auto& [name, entry] = choose(entries, tensor, file_name);
  array result;
  result.name = file_name + ":" + printable(name, shown);
  result.type = type_of(entry.type, result.name);
  result.shape = entry.shape;
  const auto needed = bytes_of(entry.shape, size_of(result.type));
  if (!needed || *needed != entry.end - entry.begin)
    refuse(result.name, "has shape " + printable(shape_text(entry.shape), shown) + " of " +
                            name_of(result.type) + " but " + std::to_string(entry.end - entry.begin) +
                            " bytes of data; write it again with safetensors.numpy.save_file");
  set_data(result, content, data_at + entry.begin, file, most);
  return result;
}

}  // namespace poolwise
