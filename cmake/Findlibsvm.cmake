# LIBSVM brings no CMake package of its own. Defines the target libsvm::libsvm.
find_path(LIBSVM_INCLUDE_DIR libsvm/svm.h)
find_library(LIBSVM_LIBRARY svm)
mark_as_advanced(LIBSVM_INCLUDE_DIR LIBSVM_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(libsvm REQUIRED_VARS LIBSVM_LIBRARY LIBSVM_INCLUDE_DIR)

if(libsvm_FOUND AND NOT TARGET libsvm::libsvm)
  add_library(libsvm::libsvm UNKNOWN IMPORTED)
  set_target_properties(libsvm::libsvm PROPERTIES
    IMPORTED_LOCATION ${LIBSVM_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LIBSVM_INCLUDE_DIR})
endif()
