# `cmake --install build --component development`: the libraries that decide and keep, for programs
# of others. Headers are included as in this tree: "model/definition/model_definition.h".
include(CMakePackageConfigHelpers)
set(headers ${CMAKE_INSTALL_INCLUDEDIR}/rondo)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/rondo)

# rondo_export(SET FOLDER_LIBRARY NAME): FOLDER_LIBRARY becomes rondo::NAME of the set.
function(rondo_export set library name)
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${headers}>)
  install(TARGETS ${library} EXPORT ${set} COMPONENT development
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/rondo)
endfunction()

rondo_export(rondo-plan-targets rondo_base base)
rondo_export(rondo-plan-targets rondo_definition definition)
rondo_export(rondo-plan-targets rondo_plan plan)
rondo_export(rondo-store-targets rondo_model store)
rondo_export(rondo-store-targets rondo_checkpoint checkpoints)

foreach(set rondo-plan-targets rondo-store-targets)
  install(EXPORT ${set} NAMESPACE rondo:: DESTINATION ${package} COMPONENT development)
endforeach()
foreach(folder base model distributed/plan checkpoint/format)
  install(DIRECTORY ${folder}/ DESTINATION ${headers}/${folder} COMPONENT development
    FILES_MATCHING PATTERN "*.h")
endforeach()
install(FILES distributed/comm/sent_bytes.h DESTINATION ${headers}/distributed/comm
  COMPONENT development)
configure_package_config_file(cmake/rondo-config.cmake.in ${CMAKE_BINARY_DIR}/rondo-config.cmake
  INSTALL_DESTINATION ${package})
# Before 1.0 a minor version may change what it declares.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/rondo-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/rondo-config.cmake
  ${CMAKE_BINARY_DIR}/rondo-config-version.cmake cmake/libtorch.cmake cmake/read_version.cmake
  DESTINATION ${package} COMPONENT development)
