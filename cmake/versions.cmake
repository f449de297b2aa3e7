# What `rondo --version` prints: the versions that the build found.

include(cmake/read_version.cmake)

rondo_read_torch_version(RONDO_TORCH_VERSION "${RONDO_LIBTORCH}")
rondo_read_version(RONDO_TORCH_CUDA "${RONDO_LIBTORCH}/version.py" "^cuda.*= *'([^']+)'")
foreach(part MAJOR MINOR PATCH)
  rondo_read_version(nccl_${part} "${RONDO_NCCL_INCLUDE}/nccl.h" "define NCCL_${part} ([0-9]+)")
endforeach()
set(RONDO_NCCL_VERSION "not built in (RONDO_CUDA=OFF)")
if(RONDO_CUDA)
  set(RONDO_NCCL_VERSION "${nccl_MAJOR}.${nccl_MINOR}.${nccl_PATCH}")
endif()
