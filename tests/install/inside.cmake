# A project that has Poolwise's sources inside its build, by add_subdirectory or FetchContent (`how`): configured, and
# either asked what it would build or, where `built` is set, built and run.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${work})
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/inside -B ${work} -G Ninja -D how=${how} -D poolwise=${source}
  -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_BUILD_TYPE=Release -D POOLWISE_CUDA=OFF -D POOLWISE_PYTHON_MODULE=OFF)
if(built)
  run(${CMAKE_COMMAND} --build ${work} --target consumer)
  run(${work}/consumer)
else()
  find_program(ninja NAMES ninja ninja-build REQUIRED)
  execute_process(COMMAND ${ninja} -C ${work} -t inputs consumer OUTPUT_VARIABLE inputs COMMAND_ERROR_IS_FATAL ANY)
  foreach(needed IN ITEMS consumer/main.cpp libpoolwise_engine libpoolwise_kernels score/score.cpp)
    if(NOT inputs MATCHES "${needed}")
      message(FATAL_ERROR "the consumer is built without ${needed}")
    endif()
  endforeach()
endif()
