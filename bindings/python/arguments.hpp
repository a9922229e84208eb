// Python's numbers and words as the types that the library takes. Another kind is refused by name.
#pragma once

#include <nanobind/nanobind.h>

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise::python {

namespace nb = nanobind;

/// An argument of another kind than a call takes.
struct argument_error : error {
  using error::error;
};

inline bool any_object(const PyObject*) { return true; }

// Arguments by what a signature says of them. What they hold is checked by the functions below, whose messages
// say more than a failed overload does.
struct integer : nb::object {
  NB_OBJECT(integer, nb::object, "int", any_object)
};
struct real : nb::object {
  NB_OBJECT(real, nb::object, "float", any_object)
};
struct flag : nb::object {
  NB_OBJECT(flag, nb::object, "bool", any_object)
};
struct word : nb::object {
  NB_OBJECT(word, nb::object, "str", any_object)
};
struct one_or_more : nb::object {
  NB_OBJECT(one_or_more, nb::object, "str | collections.abc.Sequence[str]", any_object)
};
struct names : nb::object {
  NB_OBJECT(names, nb::object, "collections.abc.Sequence[str | int]", any_object)
};
struct file_name : nb::object {
  NB_OBJECT(file_name, nb::object, "str | os.PathLike[str]", any_object)
};

/// For messages: a short number or word as Python writes it, else what kind of thing it is.
std::string shown(nb::handle given);

/// What Python says is wrong, in one line. Of interruptions and lack of memory it makes no message: they go on.
std::string message_of(nb::python_error& problem);

/// What Python calls its type: "torch.float64" of an array, "list" of a list.
std::string type_of(nb::handle source);

/// A whole number as Python holds it; they have no end there. throws argument_error.
nb::object whole_number(const std::string& what, nb::handle given);

/// The number that was given, from `least` to `most`. throws argument_error, value_error.
template <class Number>
Number number_in(const char* call, const char* name, nb::handle given, Number least = 0,
                 Number most = std::numeric_limits<Number>::max()) {
  const std::string what = std::string(call) + ": " + name;
  const nb::object whole = whole_number(what, given);
  Number number{};
  if (!nb::try_cast(whole, number) || number < least || number > most)
    throw value_error(what + " is " + shown(whole) + "; pass a whole number from " + std::to_string(least) +
                      " to " + std::to_string(most));
  return number;
}

/// throws argument_error; value_error for text that has no form in UTF-8.
std::string text_in(const char* call, const char* name, nb::handle given);

/// Texts of a sequence, whole numbers among them as they are written. throws as text_in.
std::vector<std::string> texts_in(const char* call, const char* name, nb::handle given);

/// throws argument_error.
float real_in(const char* call, const char* name, nb::handle given);
bool flag_in(const char* call, const char* name, nb::handle given);
std::filesystem::path path_in(const char* call, const char* name, nb::handle given);

}  // namespace poolwise::python
