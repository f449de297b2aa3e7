#include "checkpoint/format/hdf5_error.h"

#include <hdf5.h>

#include <algorithm>
#include <string_view>

namespace rondo {
namespace {

/// The system's own words where HDF5 quotes them: "No space left on device" of "file write failed:
/// time = …, errno = 28, error message = 'No space left on device', …".
std::string system_message(const std::string& cause) {
  constexpr std::string_view mark = "error message = '";
  const size_t begin = cause.find(mark);
  if (begin == std::string::npos) return cause;
  const size_t text = begin + mark.size();
  return cause.substr(text, cause.find('\'', text) - text);
}

}  // namespace

std::string last_hdf5_error() {
  std::string cause;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* error, void* text) -> herr_t {
        auto& line = *static_cast<std::string*>(text);
        if (line.empty() && error->desc != nullptr) line = error->desc;
        return 0;
      },
      &cause);
  std::replace(cause.begin(), cause.end(), '\n', ' ');
  return cause.empty() ? "unknown HDF5 error" : system_message(cause);
}

}  // namespace rondo
