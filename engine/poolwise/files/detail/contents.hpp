// What stands in an input file, wherever its bytes come from. Not part of the public interface.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "poolwise/core/types.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/detail/bytes.hpp"

namespace poolwise {

/// The bytes of a regular file as they lie there, by a mapping; of a pipe, and of what gzip compressed, in
/// memory. throws in the name of `call` io_error, format_error for damaged gzip, value_error beyond `most`.
file_bytes load(const char* call, const std::filesystem::path& file, const copy_limit& most);

/// Refuses to take `bytes` of memory, for what `why` says, beyond `most`.
void require_room(const copy_limit& most, const std::string& call, const std::filesystem::path& file,
                  index_t bytes, const char* why);

/// As many bytes as a reader gives, in memory that grows with them and is never held twice.
/// read(to, count) gives fewer than `count` bytes at the end only; check(total) may throw.
file_bytes gathered_bytes(const std::function<index_t(std::uint8_t* to, index_t count)>& read,
                          const std::function<void(index_t total)>& check);

/// The ending of a name in lower case, without a ".gz" behind it: ".npy" of "X.NPY.gz".
std::string ending_of(const std::filesystem::path& file);

}  // namespace poolwise
