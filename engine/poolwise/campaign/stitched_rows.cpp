#include "poolwise/campaign/detail/stitched_rows.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

void stitched_rows::add(const real_matrix& piece, const std::string& name) {
  if (!pieces_.empty() && piece.index() != pieces_.front().index())
    throw format_error(printable(name) +
                       " has another number format than the file before it; save all files of a part in one");
  if (!pieces_.empty() && cols_of(piece) != cols_of(pieces_.front()))
    throw shape_error(printable(name) + " has " + std::to_string(cols_of(piece)) +
                      " columns but the file before it has " + std::to_string(cols_of(pieces_.front())) +
                      "; give files of one part with the same columns");
  ends_.push_back(rows() + rows_of(piece));
  pieces_.push_back(piece);
}

real_matrix stitched_rows::view() {
  if (pieces_.size() == 1) return pieces_.front();
  const auto bytes = std::size_t(rows() * row_bytes(pieces_.front()));
  if (!addresses_ && bytes > 0) {
    void* const at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
      throw memory_error("campaign: no addresses are left for " + human_bytes(double(bytes)) +
                         " of a part that lies in several files; give it in one");
    addresses_ = {static_cast<std::byte*>(at), [bytes](std::byte* p) { ::munmap(p, bytes); }};
  }
  return std::visit(
      [&](auto first) -> real_matrix {
        return decltype(first){reinterpret_cast<decltype(first.data)>(addresses_.get()), rows(), first.cols};
      },
      pieces_.front());
}

std::size_t stitched_rows::piece_of(index_t row) const {
  return std::size_t(std::upper_bound(ends_.begin(), ends_.end(), row) - ends_.begin());
}

real_matrix stitched_rows::rows_where_they_lie(index_t begin, index_t end) const {
  const std::size_t piece = piece_of(begin);
  const index_t before = piece == 0 ? 0 : ends_[piece - 1];
  return rows_between(pieces_[piece], begin - before, end - before);
}

void stitched_rows::copy(std::size_t number, index_t begin, index_t end) {
  const index_t before = number == 0 ? 0 : ends_[number - 1], bytes = row_bytes(pieces_[number]);
  std::visit(
      [&](auto from) {
        for (index_t i = begin; i < end; ++i)
          std::memcpy(addresses_.get() + (before + i) * bytes, from.row(i), std::size_t(bytes));
      },
      pieces_[number]);
  brought_ += std::uint64_t((end - begin) * bytes);
}

void stitched_rows::bring(index_t row) {
  if (pieces_.size() < 2 || whole_) return;
  const std::size_t number = piece_of(row);
  const index_t before = number == 0 ? 0 : ends_[number - 1];
  copy(number, row - before, row - before + 1);
}

void stitched_rows::bring_all() {
  if (pieces_.size() < 2 || std::exchange(whole_, true)) return;
  brought_ = 0;
  for (std::size_t p = 0; p < pieces_.size(); ++p) copy(p, 0, rows_of(pieces_[p]));
}

}  // namespace poolwise
