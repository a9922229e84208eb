// Tables of others by the Arrow C data interface, of which nothing but its three structs is needed.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"

// As https://arrow.apache.org/docs/format/CDataInterface.html and CStreamInterface.html lay them out.
extern "C" {
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  std::int64_t flags;
  std::int64_t n_children;
  ArrowSchema** children;
  ArrowSchema* dictionary;
  void (*release)(ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  std::int64_t length;
  std::int64_t null_count;
  std::int64_t offset;
  std::int64_t n_buffers;
  std::int64_t n_children;
  const void** buffers;
  ArrowArray** children;
  ArrowArray* dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};
struct ArrowArrayStream {
  int (*get_schema)(ArrowArrayStream*, ArrowSchema*);
  int (*get_next)(ArrowArrayStream*, ArrowArray*);
  const char* (*get_last_error)(ArrowArrayStream*);
  void (*release)(ArrowArrayStream*);
  void* private_data;
};
}

namespace poolwise::python {

namespace nb = nanobind;

/// A struct of the interface, which is released when this ends. What it holds may move with it.
template <class T>
struct arrow_owned : T {
  arrow_owned() : T{} {}
  /// Takes the contents over: `from` then has none to release.
  explicit arrow_owned(T& from) : T(from) { from.release = nullptr; }
  arrow_owned(arrow_owned&& from) noexcept : T(from) { from.release = nullptr; }
  arrow_owned& operator=(arrow_owned&&) = delete;
  ~arrow_owned() {
    if (this->release == nullptr) return;
    const nb::error_scope kept;  // an error may be on its way through Python, which owners may call
    this->release(this);
  }
};

/// Neighbouring rows of a column: `rows` of them from entry `begin` of the array's buffers on.
struct arrow_piece {
  const ArrowArray* array;
  index_t begin, rows;
};

/// A matrix as a column of lists holds it: pieces of rows, in order, of values of one type.
struct arrow_matrix {
  char type = 'f';  ///< as the interface writes it: 'e', 'f' or 'g', of 16, 32 and 64 bits
  index_t cols = 0;
  struct piece {
    const std::byte* data;
    index_t rows;
  };
  std::vector<piece> pieces;  ///< one, where the chunks follow each other in memory

  index_t size() const { return type == 'e' ? 2 : type == 'f' ? 4 : 8; }
};

/// A column of a table. `what` opens the messages about it. All throw array_error for values of another kind,
/// and value_error for a null, naming its row.
class arrow_column {
 public:
  arrow_column(std::string what, const ArrowSchema& schema, std::vector<arrow_piece> pieces)
      : what_(std::move(what)), schema_(&schema), pieces_(std::move(pieces)) {}

  const std::string& what() const { return what_; }
  index_t rows() const;
  const ArrowSchema& schema() const { return *schema_; }

  /// Lists of floats of one length: of a fixed size, or of any. Reads the lengths, of those.
  arrow_matrix matrix() const;
  /// Whole numbers of any size. throws value_error beyond 2^63 - 1.
  std::vector<index_t> integers() const;
  bool holds_integers() const;
  std::vector<std::string> texts() const;

 private:
  friend class arrow_ids;
  void refuse_nulls() const;
  [[noreturn]] void refuse(const std::string& wanted) const;

  std::string what_;
  const ArrowSchema* schema_;
  std::vector<arrow_piece> pieces_;
};

/// What came over an Arrow C stream, kept alive as long as this lives.
class arrow_table {
 public:
  /// Whether it hands over a table or an array.
  static bool speaks(nb::handle source);
  /// throws array_error where it hands over none.
  arrow_table(const std::string& what, nb::handle source);

  index_t rows() const;
  /// throws value_error for a name that no column has, or more than one; it names the nearest.
  arrow_column column(const std::string& what, const std::string& name) const;
  /// The one column there is, or the array itself, if it holds lists of numbers.
  std::optional<arrow_column> lists(const std::string& what) const;

 private:
  void take_stream(const std::string& what, ArrowArrayStream& stream);
  arrow_column column_at(std::string what, index_t at) const;
  bool is_table() const;

  arrow_owned<ArrowSchema> schema_;
  std::vector<arrow_owned<ArrowArray>> chunks_;
};

/// Whether a file's name, or what is before a colon, ends in .parquet.
bool names_parquet(const std::string& spec);
/// pyarrow's table of "FILE.parquet", or of one of its columns, "FILE.parquet:COLUMN".
/// throws value_error where it cannot be read, or there is no pyarrow.
nb::object parquet_table(const std::string& what, const std::string& spec);

/// What kind of ids rows have, so that a batch gives the same back.
enum class id_kind : int { number, text, bytes, uuid };

/// A column of ids, read where it lies.
class arrow_ids {
 public:
  /// throws array_error, value_error: a null, an empty id, one that two rows have. Holds 8 B a row meanwhile.
  explicit arrow_ids(arrow_column column);

  id_kind kind() const { return kind_; }
  /// As text: bytes in hexadecimal, a UUID with its dashes.
  std::string operator[](index_t row) const;
  /// The rows that these ids name, in their order; one pass. throws value_error for an id that no row has.
  std::vector<index_t> rows_of(std::span<const std::string> ids) const;

 private:
  void refuse_repeated() const;

  arrow_column column_;
  id_kind kind_;
  std::vector<index_t> first_;  // row of each piece
};

}  // namespace poolwise::python
