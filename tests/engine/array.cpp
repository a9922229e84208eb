// .npy and .safetensors files, built byte by byte: every type, every refusal, and files damaged at random.
#include "poolwise/files/array.hpp"

#include <gtest/gtest.h>
#include <omp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "reference/errors.hpp"
#include "reference/gzip.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

using reference::bytes_of;
using reference::message_of;
using reference::scratch_folder;
using reference::write_file;

std::string npy_bytes(const std::string& dict, const std::string& data, int version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += {char(version), '\0'};
  bytes += version == 1 ? bytes_of(std::uint16_t(dict.size())) : bytes_of(std::uint32_t(dict.size()));
  return bytes + dict + data;
}

// Padded as numpy pads: the data begins at a multiple of 64 bytes.
std::string npy(const std::string& descr, const std::string& shape, const std::string& data, int version = 1,
                const char* fortran = "False") {
  std::string dict = "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  const std::size_t preamble = version == 1 ? 10 : 12;
  while ((preamble + dict.size() + 1) % 64 != 0) dict += ' ';
  return npy_bytes(dict + "\n", data, version);
}

std::string safetensors(const std::string& header, const std::string& data) {
  return bytes_of(std::uint64_t(header.size())) + header + data;
}

template <class T>
std::string values(std::initializer_list<T> list) {
  std::string bytes;
  for (const T value : list) bytes += bytes_of(value);
  return bytes;
}

// A number that any element type can hold, in the type's own bytes.
std::string number(dtype type, int value) {
  switch (type) {
    case dtype::f2:
      return bytes_of(std::uint16_t(value == 0 ? 0 : value == 1 ? 0x3c00 : 0x4000));
    case dtype::bf16:
      return bytes_of(std::uint16_t(value == 0 ? 0 : value == 1 ? 0x3f80 : 0x4000));
    case dtype::f4:
      return bytes_of(float(value));
    case dtype::f8:
      return bytes_of(double(value));
    case dtype::i4:
    case dtype::u4:
      return bytes_of(std::int32_t(value));
    case dtype::i2:
    case dtype::u2:
      return bytes_of(std::int16_t(value));
    case dtype::b1:
    case dtype::i1:
    case dtype::u1:
      return bytes_of(std::int8_t(value));
    default:
      return bytes_of(std::int64_t(value));
  }
}

struct known_type {
  const char* npy;
  const char* safetensors;
  dtype type;
  std::size_t size;
  const char* name;
};

constexpr known_type known_types[] = {
    {"<f2", "F16", dtype::f2, 2, "float16"},     {"|V2", "BF16", dtype::bf16, 2, "bfloat16"},
    {"<V2", "BF16", dtype::bf16, 2, "bfloat16"}, {"<f4", "F32", dtype::f4, 4, "float32"},
    {"<f8", "F64", dtype::f8, 8, "float64"},     {"<i4", "I32", dtype::i4, 4, "int32"},
    {"<i8", "I64", dtype::i8, 8, "int64"},       {"<u4", "U32", dtype::u4, 4, "uint32"},
    {"<u8", "U64", dtype::u8, 8, "uint64"},      {"|b1", "BOOL", dtype::b1, 1, "bool"},
    {"|i1", "I8", dtype::i1, 1, "int8"},         {"|u1", "U8", dtype::u1, 1, "uint8"},
    {"<i2", "I16", dtype::i2, 2, "int16"},       {"<u2", "U16", dtype::u2, 2, "uint16"},
};

bool is_float(dtype t) { return t == dtype::f2 || t == dtype::bf16 || t == dtype::f4 || t == dtype::f8; }

float element(const real_matrix& x, index_t row, index_t col) {
  return std::visit([=](auto m) { return to_float(m(row, col)); }, x);
}

class Files : public ::testing::Test {
 protected:
  std::string put(const std::string& name, const std::string& bytes) {
    return write_file(folder / name, bytes).string();
  }
  array open_npy_bytes(const std::string& bytes) { return open_npy(put("x.npy", bytes)); }
  array open_safetensors_bytes(const std::string& bytes, const std::string& tensor = "") {
    return open_safetensors(put("x.safetensors", bytes), tensor);
  }
  std::string npy_refusal(const std::string& bytes) {
    const auto message = message_of<format_error>([&] { open_npy_bytes(bytes); });
    EXPECT_EQ(message.rfind("open_npy: ", 0), 0u) << message;
    EXPECT_SAYS(message, "x.npy");
    return message;
  }
  std::string safetensors_refusal(const std::string& bytes, const std::string& tensor = "") {
    const auto message = message_of<format_error>([&] { open_safetensors_bytes(bytes, tensor); });
    EXPECT_EQ(message.rfind("open_safetensors: ", 0), 0u) << message;
    EXPECT_SAYS(message, "x.safetensors");
    return message;
  }

  scratch_folder folder;
};

using Npy = Files;
using Safetensors = Files;
using Views = Files;

// ---- .npy

TEST_F(Npy, EveryTypeInEveryVersion) {
  for (const known_type& known : known_types)
    for (int version : {1, 2, 3}) {
      SCOPED_TRACE(std::string(known.npy) + " version " + std::to_string(version));
      const std::string data = number(known.type, 0) + number(known.type, 1) + number(known.type, 2);
      const array a = open_npy_bytes(npy(known.npy, "(3,)", data, version));
      EXPECT_EQ(a.type, known.type);
      EXPECT_EQ(size_of(a.type), known.size);
      EXPECT_STREQ(name_of(a.type), known.name);
      EXPECT_EQ(a.shape, std::vector<index_t>{3});
      EXPECT_TRUE(a.owned());
      ASSERT_EQ(a.bytes(), data.size());
      EXPECT_EQ(std::memcmp(a.data, data.data(), data.size()), 0);
    }
}

TEST_F(Npy, HeadersThatPythonWouldReadTheSame) {
  const std::string data(24, '\0');
  for (const char* dict : {
           "{'descr':'<f4','fortran_order':False,'shape':(2,3)}",
           "{'shape': (2, 3), 'fortran_order': False, 'descr': '<f4'}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",  // Python 2
           "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2, 3), }",
           "{\"shape\": (2, 3,), \"descr\": \"<f4\", \"fortran_order\": False,}",
           " {\t'descr' : '<f4' ,\n'fortran_order' :False , 'shape' : ( 2 , 3 , ) , }  \n\n",
       }) {
    SCOPED_TRACE(dict);
    const array a = open_npy_bytes(npy_bytes(dict, data));
    EXPECT_EQ(a.type, dtype::f4);
    EXPECT_EQ(a.shape, (std::vector<index_t>{2, 3}));
  }
}

TEST_F(Npy, ShapesOfRankZeroAndOfNoElements) {
  EXPECT_EQ(open_npy_bytes(npy("<f8", "()", values({1.5}))).size(), 1);
  for (const char* shape : {"(0,)", "(0, 5)", "(5, 0)", "(9000000000000000, 0, 100)"}) {
    SCOPED_TRACE(shape);
    const array a = open_npy_bytes(npy("<f4", shape, ""));
    EXPECT_EQ(a.size(), 0);
    EXPECT_EQ(a.bytes(), 0u);
  }
}

TEST_F(Npy, MalformedHeaders) {
  struct wrong {
    const char* dict;
    const char* says;
  };
  for (const wrong& w : std::initializer_list<wrong>{
           {"", "expected '{'"},
           {"[1, 2]", "expected '{'"},
           {"{}", "the keys descr, fortran_order and shape"},
           {"{'descr': '<f4', 'fortran_order': False}", "the keys descr, fortran_order and shape"},
           {"{'descr': '<f4', 'shape': (1,)}", "the keys descr, fortran_order and shape"},
           {"{'fortran_order': False, 'shape': (1,)}", "the keys descr, fortran_order and shape"},
           {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "the key descr once"},
           {"{'shape': (1,), 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "the key shape once"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "only the keys"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", "expected '}'"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "nothing after"},
           {"{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}", "expected '}'"},
           {"{'descr' '<f4', 'fortran_order': False, 'shape': (1,)}", "expected ':'"},
           {"{descr: '<f4', 'fortran_order': False, 'shape': (1,)}", "a key in quotes"},
           {"{,}", "a key in quotes"},
           {"{'descr", "a closing quote"},
           {"{'de\\x73cr': '<f4', 'fortran_order': False, 'shape': (1,)}", "without backslashes"},
           {"{'descr': 4, 'fortran_order': False, 'shape': (1,)}", "a dtype in quotes"},
           {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "True or False"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (4)}", "a shape is a tuple"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': [4]}", "expected '('"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': 4}", "expected '('"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "a number or ')'"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}", "a shape is a tuple"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2", "expected ')'"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "an extent that is not negative"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (1LL,)}", "a shape is a tuple"},
           {"{'descr': ['x', '<f4'], 'fortran_order': False, 'shape': (1,)}", "expected '('"},
           {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", "fits 63 bits"},
       }) {
    SCOPED_TRACE(w.dict);
    const std::string message = npy_refusal(npy_bytes(w.dict, std::string(4, '\0')));
    EXPECT_SAYS(message, "malformed header");
    EXPECT_SAYS(message, w.says);
    EXPECT_SAYS(message, "numpy.save");
  }
}

TEST_F(Npy, DtypesThatAreNotRead) {
  const auto refusal = [&](const std::string& descr) {
    return npy_refusal(npy(descr, "(1,)", std::string(8, '\0')));
  };
  EXPECT_SAYS(refusal("|O"), "pickled");
  EXPECT_SAYS(refusal("O"), "pickled");
  for (const char* descr :
       {">V2", ">b1", "<c8", "|S4", "<U3", "<M8[ns]", "|V4", "=f4", "f4", "", "<f16", ">c8"}) {
    SCOPED_TRACE(descr);
    const std::string message = refusal(descr);
    EXPECT_SAYS(message, "has dtype '" + std::string(descr) + "'");
    for (const known_type& known : known_types) EXPECT_SAYS(message, std::string("'") + known.npy + "'");
  }
  const std::string structured =
      npy_refusal(npy_bytes("{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': False, 'shape': (1,), }",
                            std::string(12, '\0')));
  EXPECT_SAYS(structured, "structured dtype");
  for (const char* descr : {"[('a', [('b', '<f4')])]", "[('a', '<f4', (2,))]"})
    EXPECT_SAYS(npy_refusal(npy_bytes(
                    "{'descr': " + std::string(descr) + ", 'fortran_order': False, 'shape': (1,), }", "1234")),
                "structured dtype");
}

TEST_F(Npy, FortranOrderWhereItIsNotAlsoCOrder) {
  const auto opened = [&](const char* shape, std::size_t items) {
    return open_npy_bytes(npy("<f4", shape, std::string(4 * items, '\0'), 1, "True"));
  };
  for (const char* shape : {"(2, 3)", "(2, 1, 3)"}) EXPECT_FALSE(opened(shape, 6).plain());
  for (const char* shape : {"(6,)", "(1, 6)", "(6, 1, 1)"}) {
    EXPECT_EQ(opened(shape, 6).size(), 6);
    EXPECT_TRUE(opened(shape, 6).plain());
  }
  EXPECT_TRUE(opened("()", 1).plain());
  EXPECT_TRUE(opened("(1, 1)", 1).plain());
  EXPECT_TRUE(opened("(0, 5, 7)", 0).plain());
}

TEST_F(Npy, SizesThatPass63BitsAreRefused) {
  for (const char* shape : {"(9223372036854775807,)", "(4611686018427387904, 2)", "(4294967296, 4294967296)",
                            "(0, 4294967296, 4294967296)", "(2305843009213693952,)"}) {
    SCOPED_TRACE(shape);
    EXPECT_SAYS(npy_refusal(npy("<f4", shape, "")), "more than 2^63 - 1 bytes");
  }
}

TEST_F(Npy, EveryTruncationAndEveryExcess) {
  const std::string whole = npy("<f4", "(2, 3)", std::string(24, 'x'));
  EXPECT_EQ(open_npy_bytes(whole).size(), 6);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    npy_refusal(whole.substr(0, size));
  }
  EXPECT_SAYS(npy_refusal(whole.substr(0, 100)),
              "is truncated: its header needs 118 bytes, the file has 90 more");
  EXPECT_SAYS(npy_refusal(whole.substr(0, whole.size() - 1)),
              "is truncated: shape [2, 3] needs 24 bytes of data, the file has 23");
  EXPECT_SAYS(npy_refusal(whole + "y"),
              "longer than its shape says: shape [2, 3] needs 24 bytes of data, the file has 25");
}

TEST_F(Npy, MagicVersionAndHeaderLength) {
  const std::string whole = npy("<f4", "(1,)", std::string(4, '\0'));
  EXPECT_SAYS(npy_refusal("PK\x03\x04 and more of a zip file"), "not a .npy file");
  EXPECT_SAYS(npy_refusal(""), "not a .npy file");
  for (const auto& [major, minor] : {std::pair{0, 0}, {4, 0}, {255, 0}, {1, 1}, {2, 7}}) {
    std::string other = whole;
    other[6] = char(major);
    other[7] = char(minor);
    EXPECT_SAYS(npy_refusal(other), "version " + std::to_string(major) + "." + std::to_string(minor));
  }
  const std::string huge = npy_bytes(std::string((1 << 20) + 1, ' '), "", 2);
  EXPECT_SAYS(npy_refusal(huge), "header of 1048577 bytes");
  EXPECT_SAYS(npy_refusal(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)), "header of 4294967295 bytes");
}

TEST_F(Npy, DataOffTheElementSizeIsMoved) {
  for (std::size_t pad = 0; pad < 9; ++pad) {
    SCOPED_TRACE(pad);
    const std::string dict = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}" + std::string(pad, ' ');
    const array a = open_npy_bytes(npy_bytes(dict, values({1.5, -2.5})));
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(a.data) % 8, 0u);
    EXPECT_EQ(reinterpret_cast<const double*>(a.data)[1], -2.5);
  }
}

TEST_F(Npy, AMappingOutlivesItsFilesName) {
  const std::string file = put("x.npy", npy("<i4", "(2,)", values({7, 8})));
  const array a = open_npy(file);
  std::filesystem::remove(file);
  EXPECT_EQ(as_integers(a), (std::vector<index_t>{7, 8}));
}

TEST_F(Files, WhatIsNotAReadableRegularFile) {
  const auto refusal = [](const std::filesystem::path& file) {
    const auto message = message_of<io_error>([&] { open_npy(file); });
    EXPECT_SAYS(message, "open_npy: cannot read " + file.string());
    return message;
  };
  EXPECT_SAYS(refusal(folder / "none.npy"), "No such file or directory");
  EXPECT_SAYS(refusal(folder / "none/none.npy"), "No such file or directory");
  EXPECT_SAYS(refusal(folder.path()), "Is a directory");
  EXPECT_SAYS(refusal(put("file", "") + "/x.npy"), "Not a directory");
  EXPECT_SAYS(refusal("/dev/null"), "give a file or a pipe");
  EXPECT_SAYS(refusal("/dev/zero"), "give a file or a pipe");
  std::filesystem::create_symlink("loop.npy", folder / "loop.npy");
  EXPECT_SAYS(refusal(folder / "loop.npy"), "Too many levels");
  EXPECT_SAYS(message_of<io_error>([&] { open_safetensors(folder / "none", "x"); }),
              "open_safetensors: cannot read");
}

TEST_F(Files, AFileThatMayNotBeReadIsRefused) {
  const std::string file = put("secret.npy", npy("<f4", "(1,)", std::string(4, '\0')));
  ASSERT_EQ(::chmod(file.c_str(), 0), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0 && ::seteuid(nobody) != 0) ::_exit(2);
    try {
      open_npy(file);
    } catch (const io_error& refused) {
      ::_exit(std::strstr(refused.what(), "Permission denied") != nullptr ? 0 : 1);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// ---- .safetensors

TEST_F(Safetensors, EveryType) {
  for (const known_type& known : known_types) {
    SCOPED_TRACE(known.safetensors);
    const std::string data = number(known.type, 0) + number(known.type, 1) + number(known.type, 2);
    const array a = open_safetensors_bytes(safetensors("{\"x\":{\"dtype\":\"" + std::string(known.safetensors) +
                                                           "\",\"shape\":[3,1],\"data_offsets\":[0," +
                                                           std::to_string(data.size()) + "]}}",
                                                       data));
    EXPECT_EQ(a.type, known.type);
    EXPECT_EQ(a.shape, (std::vector<index_t>{3, 1}));
    EXPECT_TRUE(a.owned());
    ASSERT_EQ(a.bytes(), data.size());
    EXPECT_EQ(std::memcmp(a.data, data.data(), data.size()), 0);
  }
}

const char* const two_tensors =
    R"({"__metadata__":{"by":"hand"},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},)"
    R"("a:npy":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})";

const std::string one_byte = "\x01";

TEST_F(Safetensors, TensorsByName) {
  const std::string bytes = safetensors(two_tensors, one_byte + values({0.5f, 4.0f}));
  const array b = open_safetensors_bytes(bytes, "b");
  EXPECT_EQ(reinterpret_cast<const float*>(b.data)[1], 4.0f);
  EXPECT_SAYS(b.name, "x.safetensors:b");
  EXPECT_SAYS(safetensors_refusal(bytes, "c"), "no tensor 'c'; it holds 'a:npy', 'b'");
  EXPECT_SAYS(safetensors_refusal(bytes), "holds 2 tensors ('a:npy', 'b'); name one");
  EXPECT_SAYS(safetensors_refusal(bytes, "__metadata__"), "no tensor");
  const std::string byte_floats = safetensors_refusal(bytes, "a:npy");
  EXPECT_SAYS(byte_floats, "x.safetensors:a:npy has dtype F8_E4M3; supported are F16, BF16, F32");
  EXPECT_SAYS(safetensors_refusal(safetensors("{}", ""), "c"), "it holds none");
  EXPECT_SAYS(safetensors_refusal(safetensors("{\"__metadata__\":{}}", "")), "holds 0 tensors");
}

TEST_F(Safetensors, ALongListOfNamesIsCut) {
  std::string header = "{";
  for (int i = 10; i < 50; ++i)
    header +=
        (i > 10 ? ",\"t" : "\"t") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  const std::string message = safetensors_refusal(safetensors(header + "}", ""), "x");
  EXPECT_SAYS(message, "'t29' and 20 more");
}

TEST_F(Safetensors, AnyHeaderLengthGivesAlignedData) {
  for (std::size_t pad = 0; pad < 9; ++pad) {
    SCOPED_TRACE(pad);
    const array a = open_safetensors_bytes(
        safetensors(R"({"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}})" + std::string(pad, ' '),
                    values({1.5, -2.5})));
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(a.data) % 8, 0u);
    EXPECT_EQ(reinterpret_cast<const double*>(a.data)[1], -2.5);
  }
}

TEST_F(Safetensors, ALargeTensorIsMovedWhole) {
  // Beyond a huge page and beyond one block of the copy, from an odd place.
  constexpr index_t items = 2'500'001;
  std::string data;
  for (index_t i = 0; i < items; ++i) data += bytes_of(std::int32_t(i));
  const std::string size = std::to_string(data.size());
  std::string header =
      R"({"x":{"dtype":"I32","shape":[)" + std::to_string(items) + R"(],"data_offsets":[0,)" + size + "]}}";
  while (header.size() % 4 != 1) header += ' ';
  const std::vector<index_t> got = as_integers(open_safetensors_bytes(safetensors(header, data)));
  ASSERT_EQ(index_t(got.size()), items);
  for (index_t i = 0; i < items; ++i) ASSERT_EQ(got[std::size_t(i)], i);
}

TEST_F(Safetensors, MalformedHeaders) {
  struct wrong {
    const char* header;
    const char* says;
  };
  for (const wrong& w : std::initializer_list<wrong>{
           {"", "not JSON"},
           {"[]", "not a JSON object"},
           {"3", "not a JSON object"},
           {"{\"x\":", "not JSON"},
           {"{\"\xff\":1}", "not JSON"},
           {R"({"x":{"shape":[[1]]}})", "nested deeper than the format"},
           {R"({"x":{"y":{"z":{}}}})", "nested deeper than the format"},
           {R"({"x":1})", "malformed entry 'x': expected an object"},
           {R"({"x":{}})", "a string `dtype`"},
           {R"({"x":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", "a string `dtype`"},
           {R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", "an array `shape`"},
           {R"({"x":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", "an array `shape`"},
           {R"({"x":{"dtype":"F32","shape":[1]}})", "an array `data_offsets` of two"},
           {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", "an array `data_offsets` of two"},
           {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", "an array `data_offsets` of two"},
           {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "`data_offsets` that ascend"},
           {R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "none negative"},
           {R"({"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", "numbers of at most 63 bits"},
           {R"({"x":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", "numbers of at most 63 bits"},
           {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775808]}})", "at most 63 bits"},
           {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})",
            "its tensors need 8 bytes of data, the file has 4"},
           {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775803,9223372036854775807]}})",
            "is truncated"},
           {R"({"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", "longer than its header says"},
           {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
            "has shape [2] of float32 but 4 bytes"},
           {R"({"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})",
            "but 4 bytes of data"},
           {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
            R"("x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
            "the tensor 'x' twice"},
       }) {
    SCOPED_TRACE(w.header);
    EXPECT_SAYS(safetensors_refusal(safetensors(w.header, std::string(4, '\0'))), w.says);
  }
}

TEST_F(Safetensors, EveryTruncation) {
  const std::string whole =
      safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", std::string(8, 'x'));
  EXPECT_EQ(open_safetensors_bytes(whole).size(), 2);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    safetensors_refusal(whole.substr(0, size));
  }
  EXPECT_SAYS(safetensors_refusal(bytes_of(std::uint64_t{1} << 63) + "{}"),
              "header of 9223372036854775808 bytes");
  EXPECT_SAYS(safetensors_refusal(bytes_of(std::uint64_t{3}) + "{}"), "needs 3 bytes, the file has 2");
}

// What the reference implementation refuses as well.
TEST_F(Safetensors, TensorsTileTheDataAndNothingIsSaidTwice) {
  const auto entry = [](const char* name, int items, int begin, int end) {
    return "\"" + std::string(name) + "\":{\"dtype\":\"F32\",\"shape\":[" + std::to_string(items) +
           "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  const auto refused = [&](const std::string& entries, std::size_t bytes = 24) {
    return safetensors_refusal(safetensors("{" + entries + "}", std::string(bytes, '\0')), "a");
  };
  EXPECT_SAYS(refused(entry("a", 5, 4, 24)), "has a hole before the end of tensor 'a'");
  EXPECT_SAYS(refused(entry("b", 2, 0, 8) + "," + entry("a", 3, 12, 24)), "has a hole");
  EXPECT_SAYS(refused(entry("b", 4, 0, 16) + "," + entry("a", 4, 8, 24)), "has bytes of more than one tensor");
  EXPECT_SAYS(refused(entry("b", 6, 0, 24) + "," + entry("a", 6, 0, 24)), "has bytes of more than one tensor");
  EXPECT_SAYS(refused(R"("a":{"dtype":"I32","dtype":"F32","shape":[6],"data_offsets":[0,24]})"),
              "has the key 'dtype' twice in one entry");
  EXPECT_SAYS(refused(R"("__metadata__":{"k":"x","k":"y"},)" + entry("a", 6, 0, 24)), "the key 'k' twice");
  EXPECT_SAYS(refused(R"("__metadata__":{"k":1},)" + entry("a", 6, 0, 24)),
              "'__metadata__': expected a string `k`");
  EXPECT_SAYS(refused(R"("__metadata__":3,)" + entry("a", 6, 0, 24)), "'__metadata__': expected an object");
  EXPECT_SAYS(safetensors_refusal(
                  safetensors("{" + entry("a", 6, 0, 24) + "}" + std::string(4, '\0'), std::string(24, '\0'))),
              "a zero byte in its header");
  // Tensors without elements lie anywhere between the others, and one key may stand in several entries.
  EXPECT_EQ(open_safetensors_bytes(safetensors("{" + entry("z", 0, 8, 8) + "," + entry("b", 2, 0, 8) + "," +
                                                   entry("a", 4, 8, 24) + "}   ",
                                               std::string(24, '\0')),
                                   "a")
                .size(),
            4);
}

// ---- .npz

struct zipped {
  std::string name, bytes;
  bool deflated = false;
};

// PKWARE's format around members that are stored, or deflated into one block that compresses nothing.
std::string zip(const std::vector<zipped>& members, const std::string& comment = "") {
  std::string file, directory;
  for (const zipped& m : members) {
    std::string packed = m.bytes;
    if (m.deflated)
      packed =
          "\x01" + bytes_of(std::uint16_t(m.bytes.size())) + bytes_of(std::uint16_t(~m.bytes.size())) + m.bytes;
    const std::string facts = bytes_of(std::uint16_t(0)) + bytes_of(std::uint16_t(m.deflated ? 8 : 0)) +
                              std::string(4, '\0') + bytes_of(reference::crc32_of(m.bytes)) +
                              bytes_of(std::uint32_t(packed.size())) + bytes_of(std::uint32_t(m.bytes.size())) +
                              bytes_of(std::uint16_t(m.name.size())) + bytes_of(std::uint16_t(0));
    directory += "PK\1\2" + std::string("\x14\0\x14\0", 4) + facts + std::string(10, '\0') +
                 bytes_of(std::uint32_t(file.size())) + m.name;
    file += "PK\3\4" + std::string("\x14\0", 2) + facts + m.name + packed;
  }
  const std::string count = bytes_of(std::uint16_t(members.size()));
  return file + directory + "PK\5\6" + std::string(4, '\0') + count + count +
         bytes_of(std::uint32_t(directory.size())) + bytes_of(std::uint32_t(file.size())) +
         bytes_of(std::uint16_t(comment.size())) + comment;
}

TEST_F(Npy, MembersOfAnArchive) {
  const std::string a = npy("<i4", "(2,)", values({7, 8})), b = npy("<i8", "(1,)", values({std::int64_t{9}}));
  const std::string both = put("x.npz", zip({{"a.npy", a}, {"b:c.npy", b, true}}, "PK\5\6 is no end"));
  EXPECT_EQ(as_integers(open_array(both + ":a")), (std::vector<index_t>{7, 8}));
  EXPECT_EQ(as_integers(open_array(both + ":a.npy")), (std::vector<index_t>{7, 8}));
  const array unpacked = open_array(both + ":b:c");
  EXPECT_EQ(as_integers(unpacked), std::vector<index_t>{9});
  EXPECT_FALSE(unpacked.mapped);
  EXPECT_GE(unpacked.held, 8);
  EXPECT_SAYS(unpacked.name, "x.npz:b:c");
  EXPECT_EQ(as_integers(open_array(put("ONE.NPZ", zip({{"arr_0.npy", a}})))), (std::vector<index_t>{7, 8}));
  const auto refused = [](const std::string& spec) {
    return message_of<format_error>([&] { open_array(spec); });
  };
  EXPECT_SAYS(refused(both), "x.npz holds 2 arrays ('a', 'b:c'); name one, as FILE.npz:MEMBER");
  EXPECT_SAYS(refused(both + ":c"), "x.npz has no member 'c'; it holds 'a', 'b:c'");
  EXPECT_SAYS(refused(put("text.npz", zip({{"a.txt", "text"}}))), "text.npz:a.txt is not a .npy file");
  EXPECT_SAYS(refused(put("none.npz", "no zip")), "none.npz is not a .npz file");
  EXPECT_SAYS(message_of<value_error>([&] {
                open_array(both + ":b:c", {100, "--memory"});
              }),
              "x.npz is compressed, and is unpacked in memory, which takes");
  std::string damaged = zip({{"a.npy", a, true}});
  damaged[damaged.find('\x07')] ^= 1;
  EXPECT_SAYS(refused(put("damaged.npz", damaged)), "damaged.npz:a is a damaged or truncated .npz file");
}

TEST_F(Npy, DamagedArchivesAreRefusedOrReadable) {
  const std::string a = npy("<i4", "(2,)", values({7, 8}));
  const std::string whole = zip({{"a", a}, {"b", a, true}});
  std::mt19937 random(3);
  int opened = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = whole;
    for (auto flips = 1 + random() % 3; flips > 0; --flips) bytes[random() % bytes.size()] = char(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    const std::string file = put("x.npz", bytes);
    try {
      for (const char* member : {"a", "b"}) {
        const array got = open_npz(file, member);
        EXPECT_LE(got.bytes(), whole.size());
        if (got.shape.size() == 1) as_integers(got);
        ++opened;
      }
    } catch (const error& refused) {
      EXPECT_EQ(std::string(refused.what()).find('\n'), std::string::npos) << refused.what();
    }
  }
  EXPECT_GT(opened, 0);
  EXPECT_LT(opened, 8000);
}

// ---- what cannot be mapped

TEST_F(Files, PipesAndCompressedFilesAreReadIntoMemory) {
  std::string data;
  for (int i = 0; i < 2500; ++i) data += bytes_of(i);
  const std::string whole = npy("<i4", "(2500,)", data);
  const std::string tensor =
      safetensors(R"({"x":{"dtype":"I32","shape":[2500],"data_offsets":[0,10000]}})", data);
  const auto from_pipe = [&](const char* name, const std::string& bytes, const copy_limit& most = {}) {
    const auto pipe = folder / name;
    EXPECT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::thread writer([&] { std::ofstream(pipe) << bytes; });
    array got;
    std::string refused;
    try {
      got = open_array(pipe.string(), most);
    } catch (const error& problem) {
      refused = problem.what();
    }
    writer.join();
    std::filesystem::remove(pipe);
    if (!refused.empty()) throw value_error(refused);
    return got;
  };
  for (const auto& [name, bytes] : {std::pair<const char*, std::string>{"pipe.npy", whole},
                                    {"pipe", whole},
                                    {"pipe", tensor},
                                    {"pipe", zip({{"x", whole, true}})},
                                    {"pipe", reference::gzip(whole)}}) {
    const array got = from_pipe(name, bytes);
    EXPECT_FALSE(got.mapped);
    EXPECT_GE(got.held, 10000);
    EXPECT_EQ(as_integers(got)[2499], 2499);
  }
  EXPECT_EQ(as_integers(open_array(put("x.npy.gz", reference::gzip(whole)))).size(), 2500u);
  EXPECT_EQ(as_integers(open_array(put("x.safetensors.gz", reference::gzip(tensor)))).size(), 2500u);
  EXPECT_SAYS(message_of<value_error>([&] {
                from_pipe("pipe", whole, {5000, "--memory"});
              }),
              "pipe is a pipe, and is read into memory, which takes");
  EXPECT_SAYS(message_of<value_error>([&] {
                open_array((folder / "x.npy.gz").string(), {5000, "--memory"});
              }),
              "but --memory allows 4.9 KiB; give a smaller or a plain file, or raise --memory");
  EXPECT_SAYS(message_of<value_error>([&] { from_pipe("pipe", "text"); }),
              "pipe holds neither a .npy, a .npz nor a .safetensors file");
}

// ---- by name

TEST_F(Files, SpecsNameFilesAndTensors) {
  const std::string npy_file = put("a.npy", npy("<f4", "(1,)", values({2.0f})));
  const std::string tensors = put("t.safetensors", safetensors(two_tensors, one_byte + values({0.5f, 4.0f})));
  const std::string one =
      put("one.safetensors",
          safetensors(R"({"c:d.npy":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", values({3.0f})));
  EXPECT_EQ(open_array(npy_file).size(), 1);
  EXPECT_EQ(open_array(tensors + ":b").size(), 2);
  EXPECT_EQ(open_array(one).size(), 1);
  EXPECT_EQ(open_array(one + ":").size(), 1);
  EXPECT_EQ(open_array(one + ":c:d.npy").size(), 1);
  EXPECT_SAYS(message_of<format_error>([&] { open_array(tensors); }), "name one");
  EXPECT_SAYS(message_of<format_error>([&] { open_array("x.csv"); }), "open_array: x.csv is neither");
  std::filesystem::copy(npy_file, folder / "a.NPY");
  EXPECT_EQ(open_array((folder / "a.NPY").string()).size(), 1);
  std::filesystem::create_directory(folder / "run.safetensors:1");
  std::filesystem::copy(npy_file, folder / "run.safetensors:1/a.npy");
  EXPECT_EQ(open_array((folder / "run.safetensors:1/a.npy").string()).size(), 1);
  EXPECT_SAYS(message_of<io_error>([&] { open_array(""); }), "open_array: ");
  EXPECT_SAYS(message_of<io_error>([&] { open_array((folder / "no.safetensors").string() + ":x"); }),
              "No such file");
}

// ---- damaged at random

// Whatever opens must be wholly readable and lie within the file's bytes.
void look_at_every_byte(const array& a, std::size_t file_bytes) {
  ASSERT_LE(a.bytes(), file_bytes);
  unsigned sum = 0;
  for (std::size_t i = 0; i < a.bytes(); ++i) sum += unsigned(a.data[i]);
  volatile unsigned seen = sum;
  (void)seen;
  array keep;
  try {
    if (a.shape.size() == 1) as_integers(a);
    if (a.shape.size() == 2) as_float_matrix(a, keep);
    if (a.shape.size() == 3) as_cube(a, keep);
  } catch (const error&) {
  }
}

template <class Open>
int survivors_of_damage(const std::vector<std::string>& originals, int rounds, Open&& open) {
  std::mt19937_64 random(20240607);
  const auto below = [&](std::size_t n) { return std::size_t(random() % n); };
  int opened = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = originals[below(originals.size())];
    for (std::size_t flips = 1 + below(3); flips > 0; --flips) {
      const std::size_t at = below(std::min<std::size_t>(bytes.size(), 200));
      switch (below(4)) {
        case 0:
          bytes[at] ^= char(1 << below(8));
          break;
        case 1:
          bytes[at] = "0123456789(),:{}[]'\"<>|-"[below(24)];
          break;
        case 2:
          bytes.resize(at + 1);
          break;
        default:
          bytes.insert(at, 1, char(below(256)));
      }
    }
    try {
      look_at_every_byte(open(bytes), bytes.size());
      ++opened;
    } catch (const error& refused) {
      EXPECT_EQ(std::string(refused.what()).find('\n'), std::string::npos) << refused.what();
    }
  }
  return opened;
}

TEST_F(Npy, DamagedFilesAreRefusedOrReadable) {
  const std::vector<std::string> originals = {
      npy("<f4", "(4, 6)", std::string(96, 'a')), npy("<i8", "(12,)", std::string(96, 'b'), 2),
      npy("|V2", "(2, 4, 6)", std::string(96, 'c'), 3),
      npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (12, 1)}", std::string(96, 'd'))};
  const int opened =
      survivors_of_damage(originals, 6000, [&](const std::string& b) { return open_npy_bytes(b); });
  EXPECT_GT(opened, 0);  // damage to padding and data leaves a file valid
  EXPECT_LT(opened, 6000);
}

TEST_F(Safetensors, DamagedFilesAreRefusedOrReadable) {
  const std::vector<std::string> originals = {
      safetensors(R"({"x":{"dtype":"F32","shape":[4,6],"data_offsets":[0,96]}})", std::string(96, 'a')),
      safetensors(R"({"x":{"dtype":"I64","shape":[12],"data_offsets":[0,96]}}   )", std::string(96, 'b')),
      safetensors(R"({"__metadata__":{"k":"v"},"x":{"shape":[2,4,6],"dtype":"F16","data_offsets":[0,96]}})",
                  std::string(96, 'c'))};
  const int opened = survivors_of_damage(originals, 6000,
                                         [&](const std::string& b) { return open_safetensors_bytes(b, "x"); });
  EXPECT_GT(opened, 0);
  EXPECT_LT(opened, 6000);
}

// ---- views

TEST_F(Views, MatricesLieWhereTheyAreExceptForDoubles) {
  for (const known_type& known : known_types) {
    SCOPED_TRACE(known.npy);
    std::string data;
    for (int i = 0; i < 6; ++i) data += number(known.type, i % 3);
    const array a = open_npy_bytes(npy(known.npy, "(3, 2)", data));
    array keep;
    if (!is_float(known.type)) {
      EXPECT_SAYS(message_of<format_error>([&] { as_matrix(a, keep); }), std::string(" is ") + known.name);
      EXPECT_SAYS(message_of<format_error>([&] { as_float_matrix(a, keep); }), "as_float_matrix: ");
      continue;
    }
    const real_matrix m = as_matrix(a, keep);
    EXPECT_EQ(rows_of(m), 3);
    EXPECT_EQ(cols_of(m), 2);
    EXPECT_EQ(keep.data == a.data, known.type != dtype::f8);
    EXPECT_EQ(std::visit([](auto view) -> const void* { return view.data; }, m), keep.data);
    for (index_t i = 0; i < 6; ++i) EXPECT_EQ(element(m, i / 2, i % 2), float(i % 3));

    array fp32;
    const auto f = as_float_matrix(a, fp32);
    EXPECT_EQ(f.rows, 3);
    EXPECT_EQ(f.cols, 2);
    EXPECT_EQ(f.stride, 2);
    EXPECT_EQ(static_cast<const void*>(f.data) == a.data, known.type == dtype::f4);
    for (index_t i = 0; i < 6; ++i) EXPECT_EQ(f(i / 2, i % 2), float(i % 3));
  }
}

TEST_F(Views, CubesHaveAMatrixAMember) {
  std::vector<double> numbers(24);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = double(i);
  array a{dtype::f8, {2, 3, 4}, reinterpret_cast<const std::byte*>(numbers.data()), nullptr, ""};
  EXPECT_FALSE(a.owned());
  array keep;
  const auto cube = std::get<cube_view<const float>>(as_cube(a, keep));
  EXPECT_TRUE(keep.owned());
  EXPECT_EQ(cube.members, 2);
  EXPECT_EQ(cube.rows, 3);
  EXPECT_EQ(cube.cols, 4);
  EXPECT_EQ(cube.member(1)(2, 3), 23.0f);
  // The array itself may be what keeps the copy.
  const auto again = std::get<cube_view<const float>>(as_cube(a, a));
  EXPECT_EQ(a.type, dtype::f4);
  EXPECT_EQ(again.member(1)(0, 1), 13.0f);
}

TEST_F(Views, DoublesAreNarrowedAsNumpyNarrows) {
  const double numbers[] = {NAN,      INFINITY, -INFINITY, 1e300,       -1e300,
                            0x1p-149, 0x1p-151, -0.0,      1 + 0x1p-24, 1 + 0x1.8p-24};
  const float want[] = {NAN,       INFINITY, -INFINITY, INFINITY, -INFINITY,
                        0x1p-149f, 0.0f,     -0.0f,     1.0f,     1 + 0x1p-23f};
  const array a{dtype::f8, {1, 10}, reinterpret_cast<const std::byte*>(numbers), nullptr, ""};
  array keep;
  const auto m = as_float_matrix(a, keep);
  EXPECT_TRUE(std::isnan(m(0, 0)));
  for (index_t i = 1; i < 10; ++i) {
    EXPECT_EQ(m(0, i), want[i]) << i;
    EXPECT_EQ(std::signbit(m(0, i)), std::signbit(want[i])) << i;
  }
}

TEST_F(Views, AnyNumberOfThreadsConvertsAlike) {
  constexpr index_t rows = 1001, cols = 333;  // several blocks, the last one short
  std::vector<double> numbers(rows * cols);
  std::mt19937_64 random(3);
  for (double& x : numbers) x = std::uniform_real_distribution<>(-1, 1)(random);
  const array a{dtype::f8, {rows, cols}, reinterpret_cast<const std::byte*>(numbers.data()), nullptr, ""};
  const int threads_before = omp_get_max_threads();
  for (int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    array keep;
    const auto m = as_float_matrix(a, keep);
    for (index_t i = 0; i < rows * cols; ++i) ASSERT_EQ(m.data[i], float(numbers[std::size_t(i)]));
  }
  omp_set_num_threads(threads_before);
}

TEST_F(Views, IntegersOfEveryWidth) {
  EXPECT_EQ(as_integers(open_npy_bytes(npy("<i4", "(3,)", values<std::int32_t>({-1, 0, INT32_MAX})))),
            (std::vector<index_t>{-1, 0, INT32_MAX}));
  EXPECT_EQ(as_integers(open_npy_bytes(npy("<u4", "(2,)", values<std::uint32_t>({0, UINT32_MAX})))),
            (std::vector<index_t>{0, UINT32_MAX}));
  EXPECT_EQ(as_integers(open_npy_bytes(npy("<i8", "(2,)", values<std::int64_t>({INT64_MIN, INT64_MAX})))),
            (std::vector<index_t>{INT64_MIN, INT64_MAX}));
  EXPECT_EQ(as_integers(open_npy_bytes(npy("<u8", "(1,)", values<std::uint64_t>({INT64_MAX})))),
            (std::vector<index_t>{INT64_MAX}));
  EXPECT_TRUE(as_integers(open_npy_bytes(npy("<i4", "(0,)", ""))).empty());
}

TEST_F(Views, IntegersThatDoNotFitAreNamedByTheFirst) {
  std::vector<std::uint64_t> numbers(300'000, 5);
  numbers[200'000] = numbers[250'000] = std::uint64_t{1} << 63;
  const array a{dtype::u8, {300'000}, reinterpret_cast<const std::byte*>(numbers.data()), nullptr, "costs"};
  EXPECT_SAYS(message_of<value_error>([&] { as_integers(a); }),
              "as_integers: costs holds 9223372036854775808 at place 200000;");
}

TEST_F(Views, AnotherRankOrTypeSaysWhatIsNeeded) {
  array keep;
  const array line = open_npy_bytes(npy("<f4", "(4,)", std::string(16, '\0')));
  EXPECT_SAYS(message_of<shape_error>([&] { as_matrix(line, keep); }),
              "x.npy has shape [4]; pass an array of rank 2");
  EXPECT_SAYS(message_of<shape_error>([&] { as_cube(line, keep); }), "[members, rows, classes]");
  EXPECT_SAYS(message_of<shape_error>([&] { as_float_matrix(line, keep); }), "as_float_matrix: ");
  EXPECT_SAYS(message_of<format_error>([&] { as_integers(line); }), "is float32; pass whole numbers");
  const array table = open_npy_bytes(npy("<i4", "(2, 2)", std::string(16, '\0')));
  EXPECT_SAYS(message_of<shape_error>([&] { as_integers(table); }), "has shape [2, 2]");
  const array unnamed{dtype::i4, {2, 2}, table.data, nullptr, ""};
  EXPECT_SAYS(message_of<format_error>([&] { as_matrix(unnamed, keep); }), "as_matrix: the array is int32");
}

// Element [i, j, ...] of an array holds the digits i, j, ..., wherever its bytes lie.
template <class T>
std::string digits(const std::vector<index_t>& shape, bool fortran, bool big_endian) {
  std::string bytes;
  index_t size = 1;
  for (const index_t extent : shape) size *= extent;
  for (index_t place = 0; place < size; ++place) {
    std::vector<index_t> at(shape.size());
    index_t rest = place;
    for (std::size_t k = 0; k < shape.size(); ++k) {
      const std::size_t axis = fortran ? k : shape.size() - 1 - k;
      at[axis] = rest % shape[axis];
      rest /= shape[axis];
    }
    double value = 0;
    for (const index_t digit : at) value = 1000 * value + double(digit);
    std::string one = bytes_of(T(value));
    if (big_endian) std::reverse(one.begin(), one.end());
    bytes += one;
  }
  return bytes;
}

TEST_F(Views, EitherOrderOfAxesAndOfBytes) {
  const std::vector<index_t> flat = {301, 217}, deep = {3, 101, 217};  // more than one block, and a rest
  for (const bool fortran : {false, true})
    for (const bool big : {false, true})
      for (const bool wide : {false, true}) {
        SCOPED_TRACE(std::to_string(fortran) + std::to_string(big) + std::to_string(wide));
        const std::string type = std::string(big ? ">" : "<") + (wide ? "f8" : "f4");
        const auto open = [&](const std::vector<index_t>& shape) {
          std::string text = shape_text(shape);
          text.front() = '(', text.back() = ')';
          return open_npy_bytes(
              npy(type, text, wide ? digits<double>(shape, fortran, big) : digits<float>(shape, fortran, big),
                  1, fortran ? "True" : "False"));
        };
        array keep;
        const array a = open(flat);
        EXPECT_EQ(a.plain(), !fortran && !big);
        const auto m = as_float_matrix(a, keep);
        EXPECT_EQ(keep.held, a.plain() && !wide ? 0 : index_t(sizeof(float)) * 301 * 217);
        for (index_t i = 0; i < 301; ++i)
          for (index_t j = 0; j < 217; ++j) ASSERT_EQ(m(i, j), float(1000 * i + j));
        const auto again = std::get<matrix_view<const float>>(as_matrix(a, keep));
        EXPECT_EQ(again(300, 216), 300216.0f);
        const auto cube = std::get<cube_view<const float>>(as_cube(open(deep), keep));
        for (index_t k = 0; k < 3; ++k)
          for (index_t i = 0; i < 101; ++i)
            for (index_t j = 0; j < 217; ++j)
              ASSERT_EQ(cube.member(k)(i, j), float(1'000'000 * k + 1000 * i + j));
      }
}

TEST_F(Views, HalvesInFortranOrderStayHalves) {
  const array a = open_npy_bytes(npy(">f2", "(2, 2)", std::string("\x3c\0\x40\0\0\0\x3c\0", 8), 1, "True"));
  array keep;
  const auto m = std::get<matrix_view<const float16>>(as_matrix(a, keep));
  EXPECT_EQ(to_float(m(0, 0)), 1.0f);
  EXPECT_EQ(to_float(m(0, 1)), 0.0f);
  EXPECT_EQ(to_float(m(1, 0)), 2.0f);
}

TEST_F(Views, SmallIntegersMasksAndNone) {
  const auto read = [&](const char* descr, const std::string& data) {
    return as_integers(open_npy_bytes(npy(descr, "(2,)", data)));
  };
  EXPECT_EQ(read("|u1", "\x05\xff"), (std::vector<index_t>{5, 255}));
  EXPECT_EQ(read("|i1", "\x05\xff"), (std::vector<index_t>{5, -1}));
  EXPECT_EQ(read("|b1", std::string("\x01\x00", 2)), (std::vector<index_t>{1, 0}));
  EXPECT_EQ(read("<u2", values<std::uint16_t>({7, 65535})), (std::vector<index_t>{7, 65535}));
  EXPECT_EQ(read("<i2", values<std::int16_t>({7, -2})), (std::vector<index_t>{7, -2}));
  EXPECT_EQ(read(">i2", std::string("\0\x07\xff\xfe", 4)), (std::vector<index_t>{7, -2}));
  EXPECT_EQ(read(">u8", std::string("\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0\3", 16)), (std::vector<index_t>{258, 3}));
  EXPECT_TRUE(as_integers(open_npy_bytes(npy("<f8", "(0,)", ""))).empty());  // numpy.array([])

  const array mask = open_npy_bytes(npy("|b1", "(4,)", std::string("\0\1\0\1", 4)));
  EXPECT_EQ(row_numbers(mask, 4), (std::vector<index_t>{1, 3}));
  EXPECT_SAYS(message_of<shape_error>([&] { row_numbers(mask, 5); }),
              "x.npy is a mask of 4 rows but the pool has 5; give an entry for each row, or row numbers, as "
              "numpy.flatnonzero(mask) gives");
  const array marks = open_npy_bytes(npy("|u1", "(4,)", std::string("\1\0\0\0", 4)));
  EXPECT_SAYS(message_of<value_error>([&] { row_numbers(marks, 4); }),
              "holds a 0 or a 1 for each row of the pool, as a mask does; save it as bool, or row numbers, as "
              "numpy.flatnonzero(mask) gives");
  EXPECT_EQ(row_numbers(open_npy_bytes(npy("|u1", "(2,)", std::string("\1\0", 2))), 2),
            (std::vector<index_t>{1, 0}));
  EXPECT_EQ(row_numbers(open_npy_bytes(npy("<f8", "(0,)", "")), 2), std::vector<index_t>{});
  EXPECT_SAYS(message_of<value_error>([&] { row_numbers(marks, 3); }),
              "holds 4 row numbers but the pool has 3 rows; give each row once");
}

TEST_F(Views, MatricesWithoutElements) {
  array keep;
  for (const char* shape : {"(0, 5)", "(5, 0)", "(0, 0)"})
    for (const char* descr : {"<f4", "<f8", "<f2"}) {
      const array a = open_npy_bytes(npy(descr, shape, ""));
      EXPECT_EQ(rows_of(as_matrix(a, keep)), a.shape[0]);
      EXPECT_EQ(as_float_matrix(a, keep).cols, a.shape[1]);
    }
}

}  // namespace
}  // namespace poolwise
