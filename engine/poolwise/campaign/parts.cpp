#include "poolwise/campaign/parts.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/bytes.hpp"
#include "poolwise/ledger/merkle.hpp"

namespace poolwise {
namespace {

std::string sha256_text(const void* bytes, std::size_t size) {
  digest value{};
  if (EVP_Digest(bytes, size, value.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("campaign: OpenSSL cannot compute SHA-256");
  return to_text(value);
}

std::string format_of(const array& a) {
  return std::string(name_of(a.type)) + (a.big_endian ? " big-endian" : "") +
         (a.fortran_order ? " Fortran order" : "");
}

part_file described(part_file file, const array& a) {
  file.sha256 = sha256_text(a.data, a.bytes());
  file.shape = a.shape;
  file.format = format_of(a);
  file.bytes = a.bytes();
  return file;
}

}  // namespace

void opened_parts::open(std::span<const part_file> files) {
  for (const part_file& file : files) {
    arrays_.push_back({file, open_array(file.file), {}});
    add(arrays_.back());
  }
  if (!members_.empty()) inputs_.committee = committee_outputs(members_);
  if (!member_probs_.empty()) {
    inputs_.committee = committee_outputs(member_probs_);
    inputs_.committee_kind = outputs::probabilities;
  }
  if (!targets_.empty()) inputs_.targets = committee_outputs(targets_);
  const auto rows_are = [&](index_t rows) {
    if (inputs_.rows == 0) inputs_.rows = rows;
  };
  if (inputs_.model) rows_are(rows_of(*inputs_.model));
  if (inputs_.committee) rows_are(inputs_.committee->rows());
  if (inputs_.embeddings) rows_are(inputs_.embeddings->rows);
  if (inputs_.predictions) rows_are(inputs_.predictions->rows);
}

void opened_parts::add(opened& one) {
  const std::string& part = one.file.part;
  if (part == "embeddings") {
    inputs_.embeddings = as_float_matrix(one.raw, one.kept);
  } else if (part == "queries") {
    inputs_.queries = as_float_matrix(one.raw, one.kept);
  } else if (part == "cost-matrix") {
    inputs_.cost_matrix = as_float_matrix(one.raw, one.kept);
  } else if (part == "private") {
    inputs_.private_rows = as_float_matrix(one.raw, one.kept);
  } else if (part == "logits" || part == "probs") {
    inputs_.model = as_matrix(one.raw, one.kept);
    inputs_.model_kind = part == "probs" ? outputs::probabilities : outputs::logits;
  } else if (part == "predictions") {
    const real_cube cube = as_cube(one.raw, one.kept);
    const auto* floats = std::get_if<cube_view<const float>>(&cube);
    if (floats == nullptr)
      throw format_error(one.file.file +
                         " is of 16-bit numbers, and predictions are read as float32; save it so");
    inputs_.predictions = *floats;
  } else if (part == "committee" || part == "committee-probs" || part == "targets") {
    std::vector<real_matrix>& members = part == "committee" ? members_
                                        : part == "targets" ? targets_
                                                            : member_probs_;
    if (one.raw.shape.size() == 2)
      members.push_back(as_matrix(one.raw, one.kept));
    else
      for (const committee_outputs all(as_cube(one.raw, one.kept)); const real_matrix& member : all.each())
        members.push_back(member);
  } else {
    throw value_error("a pool has no part \"" + printable(part) + "\"");
  }
}

std::vector<part_file> opened_parts::described(std::size_t first) const {
  std::vector<part_file> all;
  for (std::size_t i = first; i < arrays_.size(); ++i)
    all.push_back(poolwise::described(arrays_[i].file, arrays_[i].raw));
  return all;
}

void opened_parts::require_recorded() const {
  for (const opened& one : arrays_) {
    if (one.file.sha256.empty()) continue;
    const part_file now = poolwise::described(one.file, one.raw);
    if (now.sha256 != one.file.sha256 || now.shape != one.file.shape || now.format != one.file.format)
      throw value_error(one.file.part + " (" + printable(one.file.file) + ") has changed: the ledger has " +
                        one.file.format + " " + shape_text(one.file.shape) + " " +
                        one.file.sha256.substr(0, 16) + "..., the file is " + now.format + " " +
                        shape_text(now.shape) + " " + now.sha256.substr(0, 16) +
                        "...; bring back the file of then");
  }
}

std::string sha256_of_file(const std::filesystem::path& file) {
  const file_bytes content = map_file("campaign", file);
  return sha256_text(content.data, std::size_t(content.size));
}

std::string absolute_spec(const std::string& spec) {
  return std::filesystem::absolute(spec).lexically_normal().string();
}

}  // namespace poolwise
