// The IDX format: two zero bytes, the element type, the rank, big-endian extents, the values.
#include "poolwise/files/idx.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/bytes.hpp"
#include "poolwise/files/detail/gzip.hpp"

namespace poolwise {
namespace {

namespace fs = std::filesystem;

constexpr const char* call = "read_idx";
constexpr int fashion_classes = 10;

[[noreturn]] void refuse(const fs::path& file, const std::string& what) {
  throw format_error(std::string(call) + ": " + printable(file.string()) + " " + what);
}

std::vector<index_t> read_shape(gzip_reader& reader, const fs::path& file) {
  constexpr std::uint8_t unsigned_byte = 8;
  std::array<std::uint8_t, 4> word{};
  if (reader.read(word.data(), 4) != 4 || word[0] != 0 || word[1] != 0 || word[3] == 0)
    refuse(file, "is not an IDX file (it does not begin as one); pass one of the MNIST family");
  if (word[2] != unsigned_byte)
    refuse(file, "has element type " + std::to_string(word[2]) + "; only unsigned bytes (8) are read");
  std::vector<index_t> shape;
  for (int axis = 0; axis < word[3]; ++axis) {
    std::array<std::uint8_t, 4> extent{};
    if (reader.read(extent.data(), 4) != 4) refuse(file, "is truncated in its header; fetch it again");
    shape.push_back(index_t{extent[0]} << 24 | extent[1] << 16 | extent[2] << 8 | extent[3]);
  }
  return shape;
}

// The buffer grows with the file: a header may claim any size.
std::vector<std::uint8_t> read_values(gzip_reader& reader, index_t count) {
  constexpr index_t step = index_t{1} << 24;
  std::vector<std::uint8_t> values;
  for (index_t have = 0; have < count;) {
    const index_t wanted = std::min(step, count - have);
    values.resize(std::size_t(have + wanted));
    const index_t got = reader.read(values.data() + have, wanted);
    have += got;
    if (got < wanted) {
      values.resize(std::size_t(have));
      break;
    }
  }
  return values;
}

constexpr const char* members[] = {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte",
                                   "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"};

idx_array read_member(const fs::path& folder, const std::string& name) {
  for (const fs::path& file : {folder / (name + ".gz"), folder / name})
    if (std::error_code none; fs::exists(file, none)) return read_idx(file);
  std::string all;
  for (const char* member : members) all += (all.empty() ? "" : ", ") + std::string(member) + ".gz";
  throw io_error("read_fashion_mnist: no " + name + ".gz in " + printable(folder.string()) +
                 "; install the package dataset-fashion-mnist (Debian, Ubuntu), or put " + all +
                 " of github.com/zalandoresearch/fashion-mnist there");
}

void require_matching(const char* part, const idx_array& images, const idx_array& labels) {
  const std::string begin = std::string("read_fashion_mnist: the ") + part;
  if (images.shape.size() != 3 || labels.shape.size() != 1 || images.shape[0] != labels.shape[0])
    throw shape_error(begin + " images have shape " + shape_text(images.shape) + " but the labels " +
                      shape_text(labels.shape) +
                      "; they need [items, height, width] and [items], fetch them again");
  const auto wrong = std::find_if(labels.values.begin(), labels.values.end(),
                                  [](std::uint8_t label) { return label >= fashion_classes; });
  if (wrong != labels.values.end())
    throw value_error(begin + " label of item " + std::to_string(wrong - labels.values.begin()) + " is " +
                      std::to_string(*wrong) + "; labels are 0 to 9, fetch the file again");
}

}  // namespace

idx_array read_idx(const fs::path& file) {
  gzip_reader reader(call, file);
  idx_array result;
  result.shape = read_shape(reader, file);
  const auto count = bytes_of(result.shape, 1);
  if (!count)
    refuse(file, "has shape " + shape_text(result.shape) + ", more than 2^63 - 1 bytes; fetch it again");
  result.values = read_values(reader, *count);
  const auto there = index_t(result.values.size());
  if (there < *count)
    refuse(file, "is truncated: shape " + shape_text(result.shape) + " needs " + std::to_string(*count) +
                     " bytes of values, the file has " + std::to_string(there) + "; fetch it again");
  // Reading to the very end also has zlib compare the checksum.
  if (std::uint8_t beyond = 0; reader.read(&beyond, 1) != 0)
    refuse(file, "is longer than its shape " + shape_text(result.shape) + " says; fetch it again");
  return result;
}

image_set read_fashion_mnist(const fs::path& folder) {
  image_set set{read_member(folder, members[0]), read_member(folder, members[1]),
                read_member(folder, members[2]), read_member(folder, members[3])};
  require_matching("training", set.train_images, set.train_labels);
  require_matching("test", set.test_images, set.test_labels);
  return set;
}

}  // namespace poolwise
