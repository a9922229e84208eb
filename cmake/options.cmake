# What can be chosen, and how every target of ours is compiled.
set(POOLWISE_CUDA AUTO CACHE STRING "Build the CUDA kernels: ON, OFF, or AUTO for where the toolkit is")
set_property(CACHE POOLWISE_CUDA PROPERTY STRINGS AUTO ON OFF)
set(POOLWISE_MPI AUTO CACHE STRING "Build the library by which ranks of MPI speak: ON, OFF, or AUTO for where MPI is")
set_property(CACHE POOLWISE_MPI PROPERTY STRINGS AUTO ON OFF)
set(POOLWISE_PYTHON_MODULE AUTO CACHE STRING "Build the Python module: ON, OFF, or AUTO for where nanobind is")
set_property(CACHE POOLWISE_PYTHON_MODULE PROPERTY STRINGS AUTO ON OFF)
set(POOLWISE_SERVE AUTO CACHE STRING "Build the server of labelling: ON, OFF, or AUTO for where its libraries are")
set_property(CACHE POOLWISE_SERVE PROPERTY STRINGS AUTO ON OFF)
option(BUILD_SHARED_LIBS "Build shared libraries" OFF)
option(POOLWISE_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(POOLWISE_BENCH "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(POOLWISE_INSTALL "Install Poolwise with this project" ${PROJECT_IS_TOP_LEVEL})
option(POOLWISE_WERROR "Treat warnings as errors" OFF)
set(POOLWISE_SANITIZE "" CACHE STRING "Sanitizers to build with, such as address,undefined")

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endif()

# An installed program finds our libraries beside it, and CUDA's where it was linked.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR} OUTPUT_VARIABLE lib_from_bin)
set(CMAKE_INSTALL_RPATH $ORIGIN $ORIGIN/${lib_from_bin})
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
# Before 1.0 a minor version may break its callers; every header is checked to compile alone, as a user includes it.
set(POOLWISE_LIBRARY_PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  VERIFY_INTERFACE_HEADER_SETS ON)
# Not installed: headers in a folder detail/, and Highway's -inl.hpp, which are compiled once for each SIMD target.
set(POOLWISE_PRIVATE_HEADERS "/detail/|-inl\\.hpp$")

find_program(POOLWISE_CCACHE ccache)
foreach(language IN ITEMS CXX CUDA)
  if(POOLWISE_CCACHE AND NOT CMAKE_${language}_COMPILER_LAUNCHER)
    set(CMAKE_${language}_COMPILER_LAUNCHER ${POOLWISE_CCACHE})
  endif()
endforeach()

# Warnings, sanitizers and floating point for our own targets; none of it reaches a user's.
add_library(poolwise_flags INTERFACE)
target_compile_options(poolwise_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow>
  # A product and a sum are fused where the code says fma and nowhere else: the promise that AVX-512, AVX2
  # and scalar code give the same bits hangs on it.
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>
  $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow,-ffp-contract=off>
  # Clang as nvcc's host compiler finds functions of the toolkit's own headers unused.
  $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<CXX_COMPILER_ID:Clang>>:-Xcompiler=-Wno-unused-function>
  # The PTX stays uncompressed, with line numbers: the tests' simulator reads it, as profilers do.
  $<$<COMPILE_LANGUAGE:CUDA>:-no-compress;-lineinfo;--expt-relaxed-constexpr>
  # 554: the conversion of a view of const to itself is never called. Of course not.
  $<$<COMPILE_LANGUAGE:CUDA>:-diag-suppress=554>
  $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${POOLWISE_WERROR}>>:-Werror=all-warnings>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${POOLWISE_WERROR}>>:-Werror>)
# Highway's functions for Arm may use its cryptography, of which we call nothing: GCC inlines them only where all may.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  target_compile_options(poolwise_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=armv8-a+crypto>)
endif()
if(POOLWISE_SANITIZE)
  target_compile_options(poolwise_flags INTERFACE
    -fsanitize=${POOLWISE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(poolwise_flags INTERFACE -fsanitize=${POOLWISE_SANITIZE})
endif()
