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

# Of the LibTorch in a folder: "2.11.0".
function(rondo_read_torch_version variable folder)
  foreach(part MAJOR MINOR PATCH)
    rondo_read_version(torch_${part} "${folder}/include/torch/headeronly/version.h"
      "define TORCH_VERSION_${part} ([0-9]+)")
  endforeach()
  set(${variable} "${torch_MAJOR}.${torch_MINOR}.${torch_PATCH}" PARENT_SCOPE)
endfunction()
