#include "poolwise/campaign/parts.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "poolwise/campaign/detail/file_digests.hpp"
#include "poolwise/campaign/detail/stitched_rows.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/bytes.hpp"
#include "poolwise/ledger/merkle.hpp"
#include "poolwise/pool/detail/gather.hpp"

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

part part_of(const std::string& name) {
  if (name == "embeddings") return part::embeddings;
  if (name == "queries") return part::queries;
  if (name == "private") return part::private_rows;
  if (name == "cost-matrix") return part::cost_matrix;
  if (name == "targets") return part::targets;
  if (name == "logits" || name == "probs") return part::outputs;
  if (name == "predictions") return part::predictions;
  if (name == "label-logits" || name == "label-probs") return part::label_outputs;
  if (name == "committee" || name == "committee-probs") return part::committee;
  throw value_error("a pool has no part \"" + printable(name) + "\"");
}

real_matrix float_rows(const array& a, array& keep) { return as_float_matrix(a, keep); }

}  // namespace

struct opened_parts::opened {
  part_file file;
  array raw, kept;
  std::optional<file_state> state;  // before it was opened
  bool described = false;           // whether `now` is filled in
  part_file now;
  std::uint64_t read = 0;  // bytes
  index_t first_row = 0;   // of the pool

  part its() const { return part_of(file.part); }
  bool is_cut() const { return its() == part::outputs || its() == part::embeddings; }
  /// Of the pool's rows from `begin` to `end` those that are in it, by its own numbers.
  std::pair<index_t, index_t> of_rows(index_t begin, index_t end) const {
    if (!is_cut()) return {begin, end};
    const auto here = [&](index_t row) { return std::clamp<index_t>(row - first_row, 0, raw.shape[0]); };
    return {here(begin), here(end)};
  }
};

opened_parts::opened_parts(file_digests* known)
    : known_(known),
      model_(std::make_unique<stitched_rows>()),
      embeddings_(std::make_unique<stitched_rows>()) {}
opened_parts::~opened_parts() = default;

void opened_parts::open(std::span<const part_file> files) {
  for (const part_file& file : files) {
    opened& one = arrays_.emplace_back();
    one.file = file;
    one.state = state_of(file_of_array(file.file));
    one.raw = open_array(file.file);
    add(one);
  }
  if (model_->pieces() > 0) inputs_.model = model_->view();
  if (embeddings_->pieces() > 0) inputs_.embeddings = std::get<matrix_view<const float>>(embeddings_->view());
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
  if (inputs_.label_outputs) rows_are(rows_of(*inputs_.label_outputs));
}

void opened_parts::add(opened& one) {
  const std::string& name = one.file.part;
  const auto stitch = [&](stitched_rows& to, const real_matrix& piece) {
    one.first_row = to.rows();
    to.add(piece, one.file.file);
  };
  switch (part_of(name)) {
    case part::embeddings:
      return stitch(*embeddings_, float_rows(one.raw, one.kept));
    case part::queries:
      inputs_.queries = as_float_matrix(one.raw, one.kept);
      return;
    case part::private_rows:
      inputs_.private_rows = as_float_matrix(one.raw, one.kept);
      return;
    case part::cost_matrix:
      inputs_.cost_matrix = as_float_matrix(one.raw, one.kept);
      return;
    case part::outputs:
      inputs_.model_kind = name == "probs" ? outputs::probabilities : outputs::logits;
      return stitch(*model_, as_matrix(one.raw, one.kept));
    case part::predictions: {
      const real_cube cube = as_cube(one.raw, one.kept);
      const auto* floats = std::get_if<cube_view<const float>>(&cube);
      if (floats == nullptr)
        throw format_error(one.file.file +
                           " is of 16-bit numbers, and predictions are read as float32; save it so");
      inputs_.predictions = *floats;
      return;
    }
    case part::label_outputs:
      if (inputs_.label_outputs)
        throw value_error(one.file.file + " is a second array of label outputs; give one of all rows");
      inputs_.label_kind = name == "label-probs" ? outputs::probabilities : outputs::logits;
      inputs_.label_outputs = as_matrix(one.raw, one.kept);
      return;
    case part::label_sets:
    case part::labels:
      throw value_error("a campaign's labels are those of its ledger");
    case part::targets:
    case part::committee: {
      std::vector<real_matrix>& members = name == "committee" ? members_
                                          : name == "targets" ? targets_
                                                              : member_probs_;
      if (one.raw.shape.size() == 2) return members.push_back(as_matrix(one.raw, one.kept));
      for (const committee_outputs all(as_cube(one.raw, one.kept)); const real_matrix& member : all.each())
        members.push_back(member);
    }
  }
}

void opened_parts::bring(std::span<const index_t> rows) {
  for (const index_t row : rows) {
    for (stitched_rows* const part : {model_.get(), embeddings_.get()})
      if (row < part->rows()) part->bring(row);
    count_read(part::outputs | part::embeddings, row, row + 1);
  }
}

void opened_parts::bring_all(parts needed) {
  if (needed.has(part::outputs)) model_->bring_all();
  if (needed.has(part::embeddings)) embeddings_->bring_all();
  count_read(needed, 0, inputs_.rows);
}

std::uint64_t opened_parts::copied_bytes() const { return model_->brought() + embeddings_->brought(); }

std::vector<index_t> opened_parts::ends(parts needed) const {
  std::vector<index_t> all{inputs_.rows};
  if (needed.has(part::outputs)) all.insert(all.end(), model_->ends().begin(), model_->ends().end());
  if (needed.has(part::embeddings))
    all.insert(all.end(), embeddings_->ends().begin(), embeddings_->ends().end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

pool_inputs opened_parts::rows_of_files(parts needed, index_t begin, index_t end) {
  count_read(needed, begin, end);
  pool_inputs some = rows_between(inputs_, begin, end, needed);
  if (some.model) some.model = model_->rows_where_they_lie(begin, end);
  if (some.embeddings)
    some.embeddings = std::get<matrix_view<const float>>(embeddings_->rows_where_they_lie(begin, end));
  return some;
}

std::string opened_parts::content(parts needed, index_t begin, index_t end) {
  std::string text;
  for (opened& one : arrays_) {
    const auto [from, to] = one.of_rows(begin, end);
    if (!needed.has(one.its()) || from == to) continue;
    const part_file& file = described(one);
    text += file.part + " " + file.sha256 + " " + shape_text(file.shape) + " " + file.format + " rows " +
            std::to_string(from) + " to " + std::to_string(to) + "\n";
  }
  return text;
}

void opened_parts::count_read(parts needed, index_t begin, index_t end) {
  for (opened& one : arrays_) {
    if (!needed.has(one.its()) || one.its() == part::queries) continue;
    const auto [from, to] = one.of_rows(begin, end);
    const std::uint64_t bytes = one.raw.bytes(),
                        rows = std::uint64_t(one.is_cut() ? one.raw.shape[0] : inputs_.rows);
    one.read = std::min(bytes, one.read + bytes / std::max<std::uint64_t>(1, rows) * std::uint64_t(to - from));
  }
}

const part_file& opened_parts::described(opened& one) {
  if (one.described) return one.now;
  one.described = true;
  one.now = one.file;
  one.now.shape = one.raw.shape;
  one.now.format = format_of(one.raw);
  one.now.bytes = one.raw.bytes();
  if (known_ != nullptr && one.state)
    if (auto sha256 = known_->find(one.file.file, *one.state)) {
      one.now.sha256 = std::move(*sha256);
      return one.now;
    }
  one.now.sha256 = sha256_text(one.raw.data, one.raw.bytes());
  one.read = one.raw.bytes();
  if (known_ != nullptr && one.state && state_of(file_of_array(one.file.file)) == one.state)
    known_->add(one.file.file, *one.state, one.now.sha256);
  return one.now;
}

std::vector<part_file> opened_parts::described(std::size_t first) {
  std::vector<part_file> all;
  for (std::size_t i = first; i < arrays_.size(); ++i) all.push_back(described(arrays_[i]));
  return all;
}

void opened_parts::require_recorded() {
  for (opened& one : arrays_) {
    if (one.file.sha256.empty()) continue;
    const part_file& now = described(one);
    if (now.sha256 != one.file.sha256 || now.shape != one.file.shape || now.format != one.file.format)
      throw value_error(one.file.part + " (" + printable(one.file.file) + ") has changed: the ledger has " +
                        one.file.format + " " + shape_text(one.file.shape) + " " +
                        one.file.sha256.substr(0, 16) + "..., the file is " + now.format + " " +
                        shape_text(now.shape) + " " + now.sha256.substr(0, 16) +
                        "...; bring back the file of then");
  }
}

std::uint64_t opened_parts::bytes_read() const {
  std::uint64_t bytes = 0;
  for (const opened& one : arrays_) bytes += one.read;
  return bytes;
}

std::string sha256_of_file(const std::filesystem::path& file) {
  const file_bytes content = map_file("campaign", file);
  return sha256_text(content.data, std::size_t(content.size));
}

std::string absolute_spec(const std::string& spec) {
  return std::filesystem::absolute(spec).lexically_normal().string();
}

}  // namespace poolwise
