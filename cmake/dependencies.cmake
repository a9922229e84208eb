# Everything Poolwise stands on, found once. OpenMP comes before FAISS, whose package refers to its target.
# What a static library of ours needs at link time is found again by poolwiseConfig.cmake.in: keep the two in step.
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(hwy REQUIRED)
find_package(BLAS REQUIRED)
find_package(faiss REQUIRED)
find_package(ZLIB REQUIRED)
find_package(lbfgs REQUIRED)
find_package(libsvm REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(Boost 1.74 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
if(POOLWISE_TESTS)
  find_package(GTest REQUIRED)
endif()
if(POOLWISE_BENCH)
  find_package(benchmark REQUIRED)
endif()

# The toolkit with its compiler. PTX for three generations, so that any GPU since Turing runs it and the tests
# see each; machine code for those that most have (and nvcc older than 12.8 knows no Blackwell).
set(POOLWISE_HAS_CUDA OFF)
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

# The interpreter that cmake/setup.sh fills with requirements.txt, or the system's, which may lack numpy.
set(venv ${PROJECT_SOURCE_DIR}/build/venv)
find_program(POOLWISE_PYTHON python3 HINTS ${venv}/bin DOC "Python for the structural tests and those against numpy")

# Reports carry their script with them: it stands where the command looks for it, in the build tree and installed.
file(GLOB plotly_script ${venv}/lib/python3*/site-packages/plotly/package_data/plotly.min.js)
if(plotly_script)
  file(COPY ${plotly_script} DESTINATION ${PROJECT_BINARY_DIR}/share/poolwise)
endif()

# The data of published benchmarks likewise.
file(COPY data DESTINATION ${PROJECT_BINARY_DIR}/share/poolwise)
