#include "launcher/version.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl_version.h>

#include <array>
#include <utility>

namespace rondo {

std::string version_text() {
  const std::string dnnl =
      fmt::format("{}.{}.{}", DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH);
  const std::array<std::pair<const char*, std::string>, 8> lines = {
      {{"LibTorch", RONDO_TORCH_VERSION},
       {"CUDA of LibTorch", RONDO_TORCH_CUDA},
       {"NCCL", RONDO_NCCL_VERSION},
       {"Open MPI", RONDO_MPI_VERSION},
       {"HDF5", RONDO_HDF5_VERSION},
       {"oneDNN", dnnl},
       {"toml++", RONDO_TOML_VERSION},
       {"compiler", RONDO_COMPILER}}};
  std::string text = "rondo " RONDO_VERSION "\n";
  for (const auto& [name, version] : lines) text += fmt::format("{:<17} {}\n", name, version);
  return text;
}

}  // namespace rondo
