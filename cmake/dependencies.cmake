# Everything Poolwise stands on, found once. OpenMP comes before FAISS, whose package refers to its target.
# What a static library of ours needs at link time is found again by poolwiseConfig.cmake.in: keep the two in step.
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
# All that is missing is said in one line, with Debian's names: a source build by pip shows little else.
set(missing_packages "")
macro(require_package debian_name package)
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    list(APPEND missing_packages ${debian_name})
  endif()
endmacro()
require_package(g++ OpenMP COMPONENTS CXX)
require_package(libhwy-dev hwy)
require_package(libopenblas-openmp-dev BLAS)
if(OpenMP_FOUND)
  require_package(libfaiss-dev faiss)
endif()
require_package(zlib1g-dev ZLIB)
require_package(liblbfgs-dev lbfgs)
require_package(libsvm-dev libsvm)
require_package("libsqlitecpp-dev libsqlite3-dev" SQLiteCpp)
set(OPENSSL_USE_STATIC_LIBS ON)  # of libcrypto we take one hash: the rest would load with every command
require_package(libssl-dev OpenSSL COMPONENTS Crypto)
require_package(libeigen3-dev Eigen3 NO_MODULE)
require_package(libboost-dev Boost 1.74)
require_package(nlohmann-json3-dev nlohmann_json)
require_package(libcli11-dev CLI11)
require_package(libtomlplusplus-dev tomlplusplus)
if(POOLWISE_TESTS)
  require_package(libgtest-dev GTest)
endif()
if(POOLWISE_BENCH)
  require_package(libbenchmark-dev benchmark)
endif()
if(missing_packages)
  list(JOIN missing_packages " " missing_packages)
  message(FATAL_ERROR "Poolwise needs what is not here; on Debian: apt-get install ${missing_packages}")
endif()

# The toolkit with its compiler. PTX for three generations, so that any GPU since Turing runs it and the tests
# see each; machine code for those that most have (and nvcc older than 12.8 knows no Blackwell).
set(POOLWISE_HAS_CUDA OFF)
find_program(CUDAToolkit_NVCC_EXECUTABLE NAMES ${CMAKE_CUDA_COMPILER} $ENV{CUDACXX})  # who names one means its toolkit
if(POOLWISE_CUDA STREQUAL "ON")
  find_package(CUDAToolkit 12.4 REQUIRED)
elseif(POOLWISE_CUDA STREQUAL "AUTO")
  find_package(CUDAToolkit 12.4 QUIET)
endif()
if(CUDAToolkit_FOUND AND CUDAToolkit_NVCC_EXECUTABLE)
  set(POOLWISE_HAS_CUDA ON)
  set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE} CACHE FILEPATH "The CUDA compiler")
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75-virtual 80 90)
    if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
      list(APPEND CMAKE_CUDA_ARCHITECTURES 100-real)
    endif()
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 has not heard that CUDA 13 knows C++20
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
elseif(POOLWISE_CUDA STREQUAL "ON")
  message(FATAL_ERROR "POOLWISE_CUDA is ON, but the CUDA toolkit in ${CUDAToolkit_BIN_DIR} lacks nvcc")
endif()

# FAISS with its GPU part: the headers, and a library that holds what they declare.
set(POOLWISE_HAS_FAISS_GPU OFF)
if(POOLWISE_HAS_CUDA)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES faiss CUDA::cudart)
  check_cxx_source_compiles([[
    #include <faiss/gpu/GpuDistance.h>
    #include <faiss/gpu/GpuIndexFlat.h>
    #include <faiss/gpu/GpuIndexIVFFlat.h>
    #include <faiss/gpu/StandardGpuResources.h>
    int main() {
      faiss::gpu::StandardGpuResources resources;
      faiss::gpu::GpuIndexFlat flat(&resources, 8, faiss::METRIC_L2);
      faiss::gpu::GpuIndexIVFFlat cells(&resources, &flat, 8, 2, faiss::METRIC_L2);
      faiss::gpu::bfKnn(&resources, {});
    }]] POOLWISE_FAISS_GPU_WORKS)
  unset(CMAKE_REQUIRED_LIBRARIES)
  set(POOLWISE_HAS_FAISS_GPU ${POOLWISE_FAISS_GPU_WORKS})
endif()

# MPI, for ranks on many machines. Wheels have none: mpi4py carries their bytes.
set(POOLWISE_HAS_MPI OFF)
if(POOLWISE_MPI STREQUAL "ON" OR (POOLWISE_MPI STREQUAL "AUTO" AND NOT SKBUILD))
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI QUIET COMPONENTS CXX)
  set(POOLWISE_HAS_MPI ${MPI_CXX_FOUND})
  if(POOLWISE_MPI STREQUAL "ON" AND NOT POOLWISE_HAS_MPI)
    message(FATAL_ERROR "POOLWISE_MPI is ON, but there is no MPI; on Debian: apt-get install libopenmpi-dev")
  endif()
endif()

# The interpreter that cmake/setup.sh fills with cmake/requirements.txt, or the system's, which may lack numpy.
set(venv ${PROJECT_SOURCE_DIR}/build/venv)
find_program(POOLWISE_PYTHON python3 HINTS ${venv}/bin DOC "Python for the structural tests and those against numpy")

# The Python module is built for that interpreter, by the nanobind that is installed in it; in a `pip install` pip says
# which these are. A sanitizer would have to be loaded before Python is.
set(POOLWISE_HAS_PYTHON OFF)
if(POOLWISE_PYTHON_MODULE STREQUAL "ON" OR (POOLWISE_PYTHON_MODULE STREQUAL "AUTO" AND NOT POOLWISE_SANITIZE))
  if(NOT SKBUILD)
    set(Python_EXECUTABLE ${POOLWISE_PYTHON})
    execute_process(COMMAND ${POOLWISE_PYTHON} -m nanobind --cmake_dir
      OUTPUT_VARIABLE nanobind_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  find_package(Python 3.10 QUIET COMPONENTS Interpreter Development.Module)
  if(Python_FOUND)
    find_package(nanobind CONFIG QUIET)
  endif()
  if(nanobind_FOUND)
    set(POOLWISE_HAS_PYTHON ON)
  elseif(POOLWISE_PYTHON_MODULE STREQUAL "ON")
    message(FATAL_ERROR "POOLWISE_PYTHON_MODULE is ON, but ${Python_EXECUTABLE} lacks its headers (python3-dev) or "
      "nanobind (cmake/setup.sh)")
  endif()
endif()

# Reports carry their script with them: it stands where the command looks for it, in the build tree and installed.
file(GLOB plotly_script ${venv}/lib/python3*/site-packages/plotly/package_data/plotly.min.js)
if(plotly_script)
  file(COPY ${plotly_script} DESTINATION ${PROJECT_BINARY_DIR}/share/poolwise)
endif()

# The data of published benchmarks likewise.
file(COPY data DESTINATION ${PROJECT_BINARY_DIR}/share/poolwise)
