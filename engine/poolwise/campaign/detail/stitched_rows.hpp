// Rows that lie in several files, as one array. Not part of the public interface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Addresses for the rows of all pieces, one behind the other. A row is read where it was brought, and is zeros
/// before: to bring a few rows reads and keeps these alone.
class stitched_rows {
 public:
  /// `name` is for messages. throws shape_error, format_error unless each has the columns and the format of the
  /// first.
  void add(const real_matrix& piece, const std::string& name);

  std::size_t pieces() const { return pieces_.size(); }
  index_t rows() const { return ends_.empty() ? 0 : ends_.back(); }
  const std::vector<index_t>& ends() const { return ends_; }
  /// Of one piece: the piece, where it lies. Of several: the addresses, from the first call on, after which
  /// none is added.
  real_matrix view();
  /// Of rows that lie in one piece.
  real_matrix rows_where_they_lie(index_t begin, index_t end) const;
  std::size_t piece_of(index_t row) const;

  void bring(index_t row);
  void bring_all();
  /// Bytes that were brought, and are kept.
  std::uint64_t brought() const { return brought_; }

 private:
  void copy(std::size_t piece, index_t begin, index_t end);

  std::vector<real_matrix> pieces_;
  std::vector<index_t> ends_;
  std::shared_ptr<std::byte> addresses_;
  std::uint64_t brought_ = 0;
  bool whole_ = false;
};

}  // namespace poolwise
