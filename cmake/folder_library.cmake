# One library per folder: the link graph is the layering. Includes are written from the source root.
function(rondo_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  target_link_libraries(${name} PUBLIC rondo_base ${arg_LINK})
endfunction()

# All torch targets share the precompiled header of rondo_model: Tensor, and what every operator's header
# needs beside it, without which a unit takes some 5 s longer.
function(rondo_torch_header target)
  target_link_libraries(${target} PUBLIC rondo::libtorch)
  if(target STREQUAL "rondo_model")
    target_precompile_headers(${target} PRIVATE <ATen/core/Tensor.h> <ATen/ops/empty.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM rondo_model)
  endif()
endfunction()
