// Arrays out of bytes that are there already. Not part of the public interface.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "poolwise/files/array.hpp"
#include "poolwise/files/detail/bytes.hpp"

namespace poolwise {

/// As open_npy, open_npz and open_safetensors do with the bytes of `file`, which messages call `name`.
array npy_array(const file_bytes& content, const std::filesystem::path& file, const std::string& name,
                const copy_limit& most);
array npz_array(const file_bytes& content, const std::filesystem::path& file, const std::string& member,
                const copy_limit& most);
array safetensors_array(const file_bytes& content, const std::filesystem::path& file, const std::string& tensor,
                        const copy_limit& most);

/// The array that the bytes hold, if they begin as one of these formats does.
std::optional<array> array_in(const file_bytes& content, const std::filesystem::path& file,
                              const copy_limit& most);

/// Has `a`, whose type and shape are known, look at its bytes, from `begin` on; at a copy where they lie off a
/// multiple of the element's size.
void set_data(array& a, const file_bytes& content, index_t begin, const std::filesystem::path& file,
              const copy_limit& most);

}  // namespace poolwise
