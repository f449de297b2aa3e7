# One library per folder: the link graph is the layering. Includes are written from the source root.
function(rondo_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  target_link_libraries(${name} PUBLIC rondo_base ${arg_LINK})
endfunction()

# The sanitized lane compiles without optimization, which is quicker but for what computes for long in
# its tests.
function(rondo_optimize_when_sanitized name)
  if(RONDO_SANITIZE)
    target_compile_options(${name} PRIVATE -O1)
  endif()
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
