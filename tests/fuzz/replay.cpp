// Runs a harness on every file of its corpus and on mutations of each, the same ones every time.
//   fuzz_NAME FOLDER
#include <algorithm>
#include <random>
#include <vector>

#include "harness.hpp"

namespace poolwise::fuzz {
namespace {

constexpr int mutations_of_each = 200;

/// A few bytes changed, left out, doubled, or taken from another file.
std::string mutated(std::string bytes, const std::string& other, std::mt19937& random) {
  const auto below = [&](std::size_t count) { return count == 0 ? 0 : random() % count; };
  for (auto changes = 1 + below(4); changes > 0; --changes) {
    const std::size_t at = below(bytes.size() + 1), count = below(8);
    switch (below(5)) {
      case 0:
        if (at < bytes.size()) bytes[at] = char(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = "\0\xff\x80\x7f\n\",:[{09-"[below(13)];
        break;
      case 2:
        bytes.erase(at, count);
        break;
      case 3:
        bytes.insert(at, bytes.substr(below(bytes.size()), count));
        break;
      default:
        bytes.replace(at, std::min(count, bytes.size() - at), other.substr(below(other.size()), count));
    }
  }
  return bytes;
}

void run(const std::string& bytes) {
  // Of its own size, so that a sanitizer sees a read beyond it.
  const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

int replay(const std::filesystem::path& corpus) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  require(!files.empty(), "a corpus has files");
  std::vector<std::string> inputs;
  for (const auto& file : files) inputs.push_back(contents(file));
  std::mt19937 random(1);
  run("");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::string input = inputs[i];
    try {
      run(input);
      for (int m = 0; m < mutations_of_each; ++m) {
        input = mutated(inputs[i], inputs[random() % inputs.size()], random);
        run(input);
      }
    } catch (...) {
      std::ofstream("crash-" + corpus.filename().string(), std::ios::binary) << input;
      std::cerr << "from " << files[i] << "; the input is in crash-" << corpus.filename().string() << std::endl;
      throw;
    }
  }
  std::cout << inputs.size() * (mutations_of_each + 1) + 1 << " inputs\n";
  return 0;
}

}  // namespace
}  // namespace poolwise::fuzz

int main(int argc, char** argv) {
  poolwise::fuzz::require(argc == 2, "called with a folder");
  return poolwise::fuzz::replay(argv[1]);
}
