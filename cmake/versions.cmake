# What `rondo --version` prints: the versions that the build found.

# The value of a #define, or of a Python assignment, in a file; "unknown" where there is none.
function(rondo_read_version variable file pattern)
  set(found "unknown")
  if(EXISTS "${file}")
    file(STRINGS "${file}" lines REGEX "${pattern}")
    if(lines)
      list(GET lines 0 line)
      string(REGEX REPLACE ".*${pattern}.*" "\\1" found "${line}")
    endif()
  endif()
  set(${variable} "${found}" PARENT_SCOPE)
endfunction()

foreach(part MAJOR MINOR PATCH)
  rondo_read_version(torch_${part} "${RONDO_LIBTORCH}/include/torch/headeronly/version.h"
    "define TORCH_VERSION_${part} ([0-9]+)")
endforeach()
set(RONDO_TORCH_VERSION "${torch_MAJOR}.${torch_MINOR}.${torch_PATCH}")
rondo_read_version(RONDO_TORCH_CUDA "${RONDO_LIBTORCH}/version.py" "^cuda.*= *'([^']+)'")
foreach(part MAJOR MINOR PATCH)
  rondo_read_version(nccl_${part} "${RONDO_NCCL_INCLUDE}/nccl.h" "define NCCL_${part} ([0-9]+)")
endforeach()
set(RONDO_NCCL_VERSION "not built in (RONDO_CUDA=OFF)")
if(RONDO_CUDA)
  set(RONDO_NCCL_VERSION "${nccl_MAJOR}.${nccl_MINOR}.${nccl_PATCH}")
endif()
