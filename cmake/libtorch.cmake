# rondo::libtorch, from the folder RONDO_LIBTORCH. LibTorch's own CMake package insists on the CUDA
# toolkit, so its libraries are imported directly. Programs that use the installed package read this
# file, too.
if(NOT TARGET rondo::libtorch)
  add_library(rondo::libtorch INTERFACE IMPORTED)
endif()
target_include_directories(rondo::libtorch SYSTEM INTERFACE
  "${RONDO_LIBTORCH}/include" "${RONDO_LIBTORCH}/include/torch/csrc/api/include")
# ATen's headers then include the operators that they call and not all of them.
target_compile_definitions(rondo::libtorch INTERFACE AT_PER_OPERATOR_HEADERS)
target_link_libraries(rondo::libtorch INTERFACE "${RONDO_LIBTORCH}/lib/libtorch_cpu.so"
  "${RONDO_LIBTORCH}/lib/libc10.so")
# torch_global_deps is not linked; the wheel's CUDA libraries, which lie beside it, are found through
# these folders at run time.
target_link_options(rondo::libtorch INTERFACE "-Wl,-rpath-link,${RONDO_LIBTORCH}/lib"
  "-Wl,-rpath-link,${RONDO_LIBTORCH}/../nvidia/cu13/lib" "-Wl,--allow-shlib-undefined")
if(RONDO_CUDA)
  target_link_libraries(rondo::libtorch INTERFACE "${RONDO_LIBTORCH}/lib/libtorch_cuda.so"
    "${RONDO_LIBTORCH}/lib/libc10_cuda.so")
  # Nothing refers to libtorch_cuda: its kernels register themselves when it is loaded.
  target_link_options(rondo::libtorch INTERFACE "-Wl,--no-as-needed")
endif()
