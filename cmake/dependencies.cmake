# Third-party libraries as imported targets. Each is linked by the one or two folders that use it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Protobuf REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(MPI REQUIRED IMPORTED_TARGET ompi-c)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(HDF5 REQUIRED IMPORTED_TARGET hdf5-openmpi)

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
  message(FATAL_ERROR "no LibTorch in ${RONDO_LIBTORCH}: run launcher/setup.sh, or set RONDO_LIBTORCH")
endif()

add_library(libtorch INTERFACE)
target_include_directories(libtorch SYSTEM INTERFACE
  "${RONDO_LIBTORCH}/include" "${RONDO_LIBTORCH}/include/torch/csrc/api/include")
# torch_global_deps is not linked; its CUDA libraries are found through these folders at run time.
target_link_libraries(libtorch INTERFACE "${RONDO_LIBTORCH}/lib/libtorch_cpu.so"
  "${RONDO_LIBTORCH}/lib/libc10.so")
target_link_options(libtorch INTERFACE "-Wl,-rpath,${RONDO_LIBTORCH}/lib"
  "-Wl,-rpath-link,${RONDO_LIBTORCH}/lib" "-Wl,-rpath-link,${RONDO_WHEELS}/nvidia/cu13/lib"
  "-Wl,--allow-shlib-undefined")
