# dlib's own package names libraries for images and windows that we do without. Defines the target dlib::dlib.
find_path(DLIB_INCLUDE_DIR dlib/dnn.h)
find_library(DLIB_LIBRARY dlib)
mark_as_advanced(DLIB_INCLUDE_DIR DLIB_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(dlib REQUIRED_VARS DLIB_LIBRARY DLIB_INCLUDE_DIR)

if(dlib_FOUND AND NOT TARGET dlib::dlib)
  add_library(dlib::dlib UNKNOWN IMPORTED)
  set_target_properties(dlib::dlib PROPERTIES
    IMPORTED_LOCATION ${DLIB_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${DLIB_INCLUDE_DIR})
endif()
