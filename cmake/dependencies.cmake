# Third-party libraries as imported targets. Each is linked by the one or two folders that use it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(PNG REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(MPI REQUIRED IMPORTED_TARGET ompi-c)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(ONIGURUMA REQUIRED IMPORTED_TARGET oniguruma)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(HDF5 REQUIRED IMPORTED_TARGET hdf5-openmpi)
target_compile_definitions(PkgConfig::PCRE2 INTERFACE PCRE2_CODE_UNIT_WIDTH=8)
# mpi.h, which hdf5.h includes, would otherwise pull in the C++ bindings that MPI-3 removed.
foreach(package MPI HDF5)
  target_compile_definitions(PkgConfig::${package} INTERFACE OMPI_SKIP_MPICXX)
endforeach()

# LibTorch comes as the pinned Python wheel. Its own CMake package insists on the CUDA toolkit, so
# the two CPU libraries are imported directly.
set(RONDO_WHEELS "${CMAKE_SOURCE_DIR}/.deps/python/lib/python3.11/site-packages")
if(NOT RONDO_LIBTORCH)
  set(RONDO_LIBTORCH "$ENV{RONDO_LIBTORCH}")
endif()
if(NOT RONDO_LIBTORCH)
  set(RONDO_LIBTORCH "${RONDO_WHEELS}/torch")
endif()
if(NOT EXISTS "${RONDO_LIBTORCH}/include/torch/csrc/api/include/torch/torch.h")
  message(FATAL_ERROR "no LibTorch in ${RONDO_LIBTORCH}: run scripts/setup.sh, or set RONDO_LIBTORCH")
endif()

add_library(libtorch INTERFACE)
target_include_directories(libtorch SYSTEM INTERFACE
  "${RONDO_LIBTORCH}/include" "${RONDO_LIBTORCH}/include/torch/csrc/api/include")
# torch_global_deps is not linked; its CUDA libraries are found through these folders at run time.
# ATen's headers then include the operators that they call and not all of them.
target_compile_definitions(libtorch INTERFACE AT_PER_OPERATOR_HEADERS)
target_link_libraries(libtorch INTERFACE "${RONDO_LIBTORCH}/lib/libtorch_cpu.so"
  "${RONDO_LIBTORCH}/lib/libc10.so")
# An installed program finds them elsewhere: see install.cmake.
list(APPEND CMAKE_BUILD_RPATH "${RONDO_LIBTORCH}/lib")
target_link_options(libtorch INTERFACE "-Wl,-rpath-link,${RONDO_LIBTORCH}/lib"
                                       "-Wl,-rpath-link,${RONDO_WHEELS}/nvidia/cu13/lib"
  "-Wl,--allow-shlib-undefined")

# The CUDA half: LibTorch's, and NCCL with the CUDA runtime below it, from the wheels beside
# LibTorch or from the toolkit. Nothing here needs nvcc or a device.
if(RONDO_CUDA)
  target_link_libraries(libtorch INTERFACE "${RONDO_LIBTORCH}/lib/libtorch_cuda.so"
    "${RONDO_LIBTORCH}/lib/libc10_cuda.so")
  # Nothing refers to libtorch_cuda: its kernels register themselves when it is loaded.
  target_link_options(libtorch INTERFACE "-Wl,--no-as-needed")

  set(wheels "${RONDO_LIBTORCH}/../nvidia" "${RONDO_WHEELS}/nvidia")
  list(TRANSFORM wheels APPEND /nccl OUTPUT_VARIABLE nccl_hints)
  list(TRANSFORM wheels APPEND /cu13 OUTPUT_VARIABLE cuda_hints)
  list(APPEND cuda_hints "$ENV{CUDA_HOME}" /usr/local/cuda)
  find_path(RONDO_NCCL_INCLUDE nccl.h HINTS ${nccl_hints} PATH_SUFFIXES include)
  find_library(RONDO_NCCL_LIBRARY NAMES libnccl.so.2 nccl HINTS ${nccl_hints} PATH_SUFFIXES lib)
  find_path(RONDO_CUDA_INCLUDE cuda_runtime_api.h HINTS ${cuda_hints} PATH_SUFFIXES include)
  find_library(RONDO_CUDART_LIBRARY NAMES libcudart.so.13 cudart HINTS ${cuda_hints}
    PATH_SUFFIXES lib lib64)
  foreach(found RONDO_NCCL_INCLUDE RONDO_NCCL_LIBRARY RONDO_CUDA_INCLUDE RONDO_CUDART_LIBRARY)
    if(NOT ${found})
      message(FATAL_ERROR "RONDO_CUDA=ON, but there is no ${found}: install the full torch wheel "
        "with its dependencies (nvidia-nccl-cu13, nvidia-cuda-runtime), or set -D${found}")
    endif()
  endforeach()
  get_filename_component(nccl_folder "${RONDO_NCCL_LIBRARY}" DIRECTORY)
  get_filename_component(cudart_folder "${RONDO_CUDART_LIBRARY}" DIRECTORY)
  add_library(nccl INTERFACE)
  target_include_directories(nccl SYSTEM INTERFACE "${RONDO_NCCL_INCLUDE}" "${RONDO_CUDA_INCLUDE}")
  target_link_libraries(nccl INTERFACE "${RONDO_NCCL_LIBRARY}" "${RONDO_CUDART_LIBRARY}")
  list(APPEND CMAKE_BUILD_RPATH "${nccl_folder}" "${cudart_folder}")
endif()
