# An installed Poolwise, and the package by which another CMake project finds it.
if(NOT POOLWISE_INSTALL)
  return()
endif()
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/poolwise)

install(TARGETS poolwise_kernels poolwise_engine poolwise_c EXPORT poolwise_targets FILE_SET HEADERS)
install(EXPORT poolwise_targets NAMESPACE poolwise:: FILE poolwiseTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/poolwiseConfig.cmake.in poolwiseConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/poolwiseConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/poolwiseConfig.cmake ${PROJECT_BINARY_DIR}/poolwiseConfigVersion.cmake
  cmake/Findlbfgs.cmake cmake/Findlibsvm.cmake DESTINATION ${package_dir})

install(TARGETS poolwise)
if(POOLWISE_HAS_HTTP)
  install(TARGETS poolwise_http)
endif()
install(FILES ${PROJECT_BINARY_DIR}/share/poolwise/plotly.min.js DESTINATION ${CMAKE_INSTALL_DATADIR}/poolwise OPTIONAL)
install(DIRECTORY data DESTINATION ${CMAKE_INSTALL_DATADIR}/poolwise)
