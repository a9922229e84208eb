// numpy's archives: a ZIP file (PKWARE's APPNOTE.TXT) of .npy files, stored or deflated.
#include <zlib.h>

#include <algorithm>
#include <span>

#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/detail/array_bytes.hpp"
#include "poolwise/files/detail/contents.hpp"

namespace poolwise {
namespace {

constexpr std::size_t shown = 80;  // bytes of foreign text in a message
constexpr std::uint64_t in_extra_field = 0xffffffff;

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw format_error("open_npz: " + file + " " + what);
}

[[noreturn]] void refuse_damaged(const std::string& file) {
  refuse(file, "is a damaged or truncated .npz file; write it again with numpy.savez");
}

struct zip_member {
  std::string name;
  std::uint64_t method = 0, flags = 0, crc = 0, packed = 0, size = 0, header_at = 0;
};

// Little-endian numbers of a file, one after the other, none beyond its end.
class number_reader {
 public:
  number_reader(const file_bytes& content, std::uint64_t at, const std::string& file)
      : content_(content), at_(at), file_(file) {}

  std::uint64_t take(std::size_t size) {
    std::span<const std::byte> bytes(take_bytes(size), size);
    return take_number(bytes, size);
  }
  std::string take_text(std::size_t size) { return {reinterpret_cast<const char*>(take_bytes(size)), size}; }
  void skip(std::uint64_t size) { take_bytes(size); }
  std::uint64_t at() const { return at_; }

 private:
  const std::byte* take_bytes(std::uint64_t size) {
    const auto end = std::uint64_t(content_.size);
    if (at_ > end || size > end - at_) refuse_damaged(file_);
    at_ += size;
    return content_.data + (at_ - size);
  }

  const file_bytes& content_;
  std::uint64_t at_;
  const std::string& file_;
};

// ZIP64 keeps what needs more than 32 bits in a field of its own, in this order.
void take_zip64(zip_member& member, number_reader extra, std::uint64_t end) {
  while (extra.at() + 4 <= end) {
    const std::uint64_t kind = extra.take(2), size = extra.take(2);
    if (kind != 1) {
      extra.skip(size);
      continue;
    }
    for (std::uint64_t* number : {&member.size, &member.packed, &member.header_at})
      if (*number == in_extra_field) *number = extra.take(8);
    return;
  }
}

struct directory_place {
  std::uint64_t members, at;
};

// The end of the file says where the list of members lies; a comment may follow it.
directory_place find_directory(const file_bytes& content, const std::string& file) {
  constexpr index_t end_bytes = 22, longest_comment = 65'535, locator_bytes = 20;
  const std::string_view begin = content.text(0, std::min<index_t>(content.size, 2));
  if (begin != "PK") refuse(file, "is not a .npz file (it does not begin as one); write it with numpy.savez");
  const index_t from = std::max<index_t>(0, content.size - end_bytes - longest_comment);
  const std::string_view tail = content.text(from, content.size - from);
  index_t end_at = -1;
  for (index_t at = index_t(tail.size()) - end_bytes; at >= 0 && end_at < 0; --at) {
    if (tail.substr(std::size_t(at), 4) != "PK\x05\x06") continue;
    number_reader comment(content, std::uint64_t(from + at + end_bytes - 2), file);
    if (index_t(comment.take(2)) == index_t(tail.size()) - at - end_bytes) end_at = from + at;
  }
  if (end_at < 0) refuse_damaged(file);
  number_reader end(content, std::uint64_t(end_at) + 10, file);
  directory_place place{end.take(2), 0};
  end.skip(4);
  place.at = end.take(4);
  if (end_at < locator_bytes || content.text(end_at - locator_bytes, 4) != "PK\x06\x07") return place;
  number_reader locator(content, std::uint64_t(end_at - locator_bytes) + 8, file);
  number_reader end64(content, locator.take(8), file);
  if (end64.take_text(4) != "PK\x06\x06") refuse_damaged(file);
  end64.skip(28);
  place.members = end64.take(8);
  end64.skip(8);
  place.at = end64.take(8);
  return place;
}

std::vector<zip_member> members_of(const file_bytes& content, const std::string& file) {
  const directory_place directory = find_directory(content, file);
  number_reader entry(content, directory.at, file);
  std::vector<zip_member> members;
  for (std::uint64_t k = 0; k < directory.members; ++k) {
    if (entry.take_text(4) != "PK\x01\x02") refuse_damaged(file);
    entry.skip(4);
    zip_member member;
    member.flags = entry.take(2);
    member.method = entry.take(2);
    entry.skip(4);
    member.crc = entry.take(4);
    member.packed = entry.take(4);
    member.size = entry.take(4);
    const std::uint64_t name = entry.take(2), extra = entry.take(2), comment = entry.take(2);
    entry.skip(8);
    member.header_at = entry.take(4);
    member.name = entry.take_text(name);
    const number_reader extra_field = entry;
    entry.skip(extra);
    take_zip64(member, extra_field, entry.at());
    entry.skip(comment);
    if (member.name.ends_with(".npy")) member.name.resize(member.name.size() - 4);
    members.push_back(std::move(member));
  }
  return members;
}

const zip_member& choose(const std::vector<zip_member>& members, std::string wanted, const std::string& file) {
  if (wanted.ends_with(".npy")) wanted.resize(wanted.size() - 4);
  std::string names;
  const zip_member* chosen = nullptr;
  for (const zip_member& member : members) {
    names += (names.empty() ? "'" : ", '") + member.name + "'";
    if (member.name != wanted && !wanted.empty()) continue;
    if (chosen != nullptr && !wanted.empty())
      refuse(file, "has two members '" + printable(wanted, shown) + "'; write it again with numpy.savez");
    chosen = &member;
  }
  names = names.empty() ? "none" : printable(names, 4 * shown);
  if (wanted.empty() && members.size() != 1)
    refuse(file,
           "holds " + std::to_string(members.size()) + " arrays (" + names + "); name one, as FILE.npz:MEMBER");
  if (chosen == nullptr) refuse(file, "has no member '" + printable(wanted, shown) + "'; it holds " + names);
  return *chosen;
}

// The member's bytes as they lie in the file.
file_bytes packed_bytes(const file_bytes& content, const zip_member& member, const std::string& file) {
  number_reader header(content, member.header_at, file);
  if (header.take_text(4) != "PK\x03\x04") refuse_damaged(file);
  header.skip(22);
  const std::uint64_t name = header.take(2), extra = header.take(2);
  header.skip(name);
  header.skip(extra);
  const std::uint64_t begin = header.at();
  header.skip(member.packed);
  return {content.data + begin, index_t(member.packed), content.owner, content.mapped, content.held};
}

// A raw DEFLATE stream, front to back.
class inflater {
 public:
  inflater(const file_bytes& from, const std::string& file) : left_(from.size), file_(file) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data));
    if (::inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  inflater(const inflater&) = delete;
  inflater& operator=(const inflater&) = delete;
  ~inflater() { ::inflateEnd(&stream_); }

  index_t read(std::uint8_t* to, index_t count) {
    stream_.next_out = to;
    stream_.avail_out = uInt(count);
    while (stream_.avail_out > 0 && !ended_) {
      constexpr index_t most = index_t{1} << 30;  // zlib counts in 32 bits
      const index_t given = std::min(left_, most);
      stream_.avail_in = uInt(given);
      const int code = ::inflate(&stream_, Z_NO_FLUSH);
      left_ -= given - index_t(stream_.avail_in);
      ended_ = code == Z_STREAM_END;
      if (code != Z_OK && !ended_) refuse_damaged(file_);
    }
    const index_t got = count - index_t(stream_.avail_out);
    crc_ = ::crc32_z(crc_, to, std::size_t(got));
    return got;
  }

  std::uint64_t crc() const { return crc_; }

 private:
  z_stream stream_{};
  index_t left_;
  const std::string& file_;
  uLong crc_ = 0;
  bool ended_ = false;
};

}  // namespace

array npz_array(const file_bytes& content, const std::filesystem::path& file, const std::string& wanted,
                const copy_limit& most) {
  const std::string file_name = printable(file.string());
  const auto members = members_of(content, file_name);
  const zip_member& member = choose(members, wanted, file_name);
  const std::string name = file_name + ":" + printable(member.name, shown);
  if ((member.flags & 1) != 0) refuse(name, "is encrypted; write it again with numpy.savez");
  const file_bytes packed = packed_bytes(content, member, file_name);
  constexpr std::uint64_t stored = 0, deflated = 8;
  if (member.method == stored) return npy_array(packed, file, name, most);
  if (member.method != deflated)
    refuse(name, "is compressed by ZIP's method " + std::to_string(member.method) +
                     "; write it again with numpy.savez, or savez_compressed");
  inflater unpacked(packed, name);
  const file_bytes bytes = gathered_bytes(
      [&](std::uint8_t* to, index_t count) { return unpacked.read(to, count); },
      [&](index_t total) {
        require_room(most, "open_npz", file, content.held + total, "is compressed, and is unpacked in memory");
      });
  if (unpacked.crc() != member.crc || std::uint64_t(bytes.size) != member.size) refuse_damaged(name);
  return npy_array(bytes, file, name, most);
}

array open_npz(const std::filesystem::path& file, const std::string& member, const copy_limit& most) {
  return npz_array(load("open_npz", file, most), file, member, most);
}

}  // namespace poolwise
