// Batches as tables for others, by the Arrow C data interface.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "answer.hpp"

namespace poolwise::python {
namespace {

/// One column: its layout, and the bytes that its buffers view.
struct column_data {
  const char* name;
  std::string format;
  std::string metadata = {};
  std::vector<std::vector<char>> buffers = {};  // behind the one of nulls, of which there are none
};

template <class T>
std::vector<char> bytes_of(const std::vector<T>& values) {
  std::vector<char> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

template <class T, class Value>
column_data numbers(const char* name, const char* format, const std::vector<pick>& picks, Value value) {
  std::vector<T> all;
  for (const pick& one : picks) all.push_back(value(one));
  return {.name = name, .format = format, .buffers = {bytes_of(all)}};
}

template <class Value>
column_data texts(const char* name, const char* format, const std::vector<pick>& picks, Value value) {
  std::vector<std::int64_t> ends = {0};
  std::vector<char> text;
  for (const pick& one : picks) {
    const std::string word = value(one);
    text.insert(text.end(), word.begin(), word.end());
    ends.push_back(std::int64_t(text.size()));
  }
  return {.name = name, .format = format, .buffers = {bytes_of(ends), std::move(text)}};
}

std::string from_hexadecimal(const std::string& text) {
  std::string bytes, digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c != '-'; });
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += char(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

/// One pair of a key and a value, as a schema's metadata has them.
std::string metadata_of(const std::string& key, const std::string& value) {
  std::string bytes;
  const auto add = [&](std::int32_t n) { bytes.append(reinterpret_cast<const char*>(&n), sizeof n); };
  add(1);
  add(std::int32_t(key.size()));
  bytes += key;
  add(std::int32_t(value.size()));
  return bytes + value;
}

column_data ids_of(const chosen_batch& chosen) {
  switch (chosen.ids()) {
    case id_kind::number:
      return numbers<std::int64_t>("id", "l", chosen.picks, [](const pick& one) {
        std::int64_t number = 0;
        std::from_chars(one.id.data(), one.id.data() + one.id.size(), number);
        return number;
      });
    case id_kind::bytes:
      return texts("id", "Z", chosen.picks, [](const pick& one) { return from_hexadecimal(one.id); });
    case id_kind::uuid: {
      column_data column =
          texts("id", "w:16", chosen.picks, [](const pick& one) { return from_hexadecimal(one.id); });
      column.buffers.erase(column.buffers.begin());
      column.metadata = metadata_of("ARROW:extension:name", "arrow.uuid");
      return column;
    }
    case id_kind::text:
      break;
  }
  return texts("id", "U", chosen.picks, [](const pick& one) { return one.id; });
}

/// All that a stream hands out. Everyone who holds a part of it shares it.
struct table_data {
  index_t rows;
  std::vector<column_data> columns;
};
using shared_table = std::shared_ptr<const table_data>;

// ---- Structs that own what they point to, by their private_data.

struct schema_parts {
  shared_table table;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
};

struct array_parts {
  shared_table table;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> pointers;
  std::vector<const void*> buffers;
};

template <class T, class Parts>
void release(T* one) {
  auto* const parts = static_cast<Parts*>(one->private_data);
  for (T& child : parts->children)
    if (child.release != nullptr) child.release(&child);
  delete parts;
  one->release = nullptr;
}

ArrowSchema schema_of(const shared_table& table, const column_data& column) {
  ArrowSchema schema{};
  schema.format = column.format.c_str();
  schema.name = column.name;
  schema.metadata = column.metadata.empty() ? nullptr : column.metadata.c_str();
  schema.release = release<ArrowSchema, schema_parts>;
  schema.private_data = new schema_parts{table, {}, {}};
  return schema;
}

ArrowArray array_of(const shared_table& table, const column_data& column) {
  auto* const parts = new array_parts{table, {}, {}, {nullptr}};
  for (const auto& buffer : column.buffers) parts->buffers.push_back(buffer.data());
  ArrowArray array{};
  array.length = table->rows;
  array.n_buffers = std::int64_t(parts->buffers.size());
  array.buffers = parts->buffers.data();
  array.release = release<ArrowArray, array_parts>;
  array.private_data = parts;
  return array;
}

template <class T, class Parts, class Of>
void put_children(T& whole, Parts& parts, Of of) {
  for (const column_data& column : parts.table->columns) parts.children.push_back(of(parts.table, column));
  for (T& child : parts.children) parts.pointers.push_back(&child);
  whole.n_children = std::int64_t(parts.children.size());
  whole.children = parts.pointers.data();
  whole.release = release<T, Parts>;
  whole.private_data = &parts;
}

struct stream_state {
  shared_table table;
  bool ended = false;
};

int get_schema(ArrowArrayStream* stream, ArrowSchema* out) {
  const auto& state = *static_cast<stream_state*>(stream->private_data);
  *out = {};
  out->format = "+s";
  out->name = "";
  put_children(*out, *new schema_parts{state.table, {}, {}}, schema_of);
  return 0;
}

int get_next(ArrowArrayStream* stream, ArrowArray* out) {
  auto& state = *static_cast<stream_state*>(stream->private_data);
  *out = {};
  if (std::exchange(state.ended, true)) return 0;
  auto& parts = *new array_parts{state.table, {}, {}, {nullptr}};
  out->length = state.table->rows;
  out->n_buffers = 1;
  out->buffers = parts.buffers.data();
  put_children(*out, parts, array_of);
  return 0;
}

const char* last_error(ArrowArrayStream*) { return nullptr; }

void release_stream(ArrowArrayStream* stream) {
  delete static_cast<stream_state*>(stream->private_data);
  stream->release = nullptr;
}

}  // namespace

nb::object arrow_stream_of(const chosen_batch& chosen) {
  const auto& picks = chosen.picks;
  std::vector<column_data> columns;
  columns.push_back(numbers<index_t>("row", "l", picks, [](const pick& one) { return one.row; }));
  columns.push_back(ids_of(chosen));
  columns.push_back(numbers<float>("score", "f", picks, [](const pick& one) { return one.score; }));
  columns.push_back(numbers<std::int64_t>("cost", "l", picks, [](const pick& one) { return one.cost; }));
  columns.push_back(texts("reason", "U", picks, [](const pick& one) { return one.reason; }));
  auto table = std::make_shared<const table_data>(table_data{index_t(picks.size()), std::move(columns)});
  auto* const stream =
      new ArrowArrayStream{get_schema, get_next, last_error, release_stream, new stream_state{table}};
  return nb::steal(PyCapsule_New(stream, "arrow_array_stream", [](PyObject* capsule) {
    auto* const held = static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule, "arrow_array_stream"));
    if (held->release != nullptr) held->release(held);
    delete held;
  }));
}

}  // namespace poolwise::python
