// The tables that published experiments stand on.
#include <algorithm>
#include <array>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/shared_file.hpp"
#include "poolwise/files/table.hpp"
#include "poolwise/reproduce/detail/benchmarks.hpp"

namespace poolwise {
namespace {

struct table_entry {
  const char *name, *file;  // in the folder data/
  table_fingerprint print;
};

constexpr std::array entries = {
    table_entry{"sonar", "sonar.csv", {0x254970bb58173ca7, 0xa08419ddb888a0ee}},
    table_entry{"ionosphere", "ionosphere.csv", {0x71a524f0afc7fd1e, 0xaa4406feec7a17f0}},
    table_entry{"digits", "digits.csv.gz", {0x10760800fb311597, 0xc40c7905687f9362}},
    table_entry{"spam", "spam.csv.gz", {0xb4cd7a9fb251d95d, 0x4c03c27d59474a4a}},
    table_entry{"letter", "letter.csv.gz", {0xc0a43e3bb4d7052f, 0x316a97404350b3dc}},
    table_entry{"satellite", "satellite.csv.gz", {0xf219bb0eefd918fc, 0xf84ce380c0889721}},
    table_entry{"dna", "dna.csv.gz", {0x670bc34b310feea0, 0xd89c7837c639f5f9}},
};

}  // namespace

labelled_table published_table(const benchmark_settings& settings, const std::string& name) {
  const auto entry =
      std::find_if(entries.begin(), entries.end(), [&](const table_entry& e) { return e.name == name; });
  if (entry == entries.end()) throw value_error("reproduce: there is no table of the name " + name);
  const auto place = settings.data.empty()
                         ? find_shared_file("reproduce", command_folder(), std::string("data/") + entry->file,
                                            "install Poolwise with its data, or pass --data FILE")
                         : settings.data;
  labelled_table data = read_table(place);
  const table_fingerprint print = fingerprint(data);
  if (print.ordered == entry->print.ordered) return data;
  throw value_error(
      "reproduce: " + printable(place.string()) +
      (print.rows == entry->print.rows
           ? " has the rows of " + name + " in another order, which other splits come of"
           : " is not " + name + " as it was published: a value, a row or a class differs") +
      "; nothing is scored against it. Use the file that comes with Poolwise, or `lu2023 --data`");
}

}  // namespace poolwise
