// Files larger than the memory that a process may take.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace poolwise {

/// Mapped files whose pages are given back while passes go over their rows, so that a process stays under a
/// ceiling.
///
/// The parts of a mapped file that were read count as the process's memory until the system wants them back.
/// With cpu{.pages = ...} every pass looks between two blocks of rows whether the process has come to the
/// ceiling, and if so gives back all pages of these files. They stay in the system's cache while it has room,
/// and come from there, or from the disk, where they are read again: nothing but time depends on it.
///
/// The ceiling is passed by what is read within a tenth of a millisecond, in one block of rows, or in a few
/// reads far from each other: some MiB.
class mapped_pages {
 public:
  /// ceiling: bytes that the process may have resident, code, stacks and arrays included.
  explicit mapped_pages(std::size_t ceiling);
  ~mapped_pages();
  mapped_pages(const mapped_pages&) = delete;
  mapped_pages& operator=(const mapped_pages&) = delete;

  /// Part of a file that is mapped for reading alone. (Other memory would lose what it holds.)
  void add(const void* begin, std::size_t bytes);

  /// The process will take so many bytes beside these files, and all at once perhaps: they are counted from now
  /// on.
  void expect(std::size_t bytes) { expected_ = bytes; }

  /// Gives the pages back if it is time. For any thread, between reads of rows that follow each other.
  void settle() noexcept;

  /// The same between reads of rows that lie anywhere. Where the system caches a file in large pieces, each
  /// such read can bring 2 MiB with it: they are counted, not timed.
  void settle_far(unsigned reads) noexcept;

 private:
  struct range {
    void* begin;
    std::size_t bytes;
  };
  struct usage {
    std::size_t resident, of_files;
  };

  usage measure() const noexcept;
  void look(std::size_t room) noexcept;  ///< that is to be left below the ceiling

  std::size_t ceiling_, page_;
  int status_;  // the descriptor of /proc/self/statm
  std::vector<range> ranges_;
  std::atomic<std::size_t> expected_{0};
  std::atomic<std::int64_t> next_look_{0};
  std::atomic<unsigned> far_reads_{0};
  std::atomic<std::size_t> kept_{0};  // of files, when pages were last given back: code for the most part
};

}  // namespace poolwise
