// Writes .safetensors files, right ones and wrong ones.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/checkpoint/temporary_folder.h"

namespace rondo {

/// Length, header and data as they are given.
inline void write_safetensors_bytes(const std::string& path, const std::string& header,
                                    const std::string& data) {
  const uint64_t length = header.size();
  write_file(path, std::string(reinterpret_cast<const char*>(&length), 8) + header + data);
}

/// A correct file.
inline void write_safetensors(const std::string& path,
                              const std::map<std::string, at::Tensor>& tensors) {
  static const std::map<at::ScalarType, std::string> names = {{at::kDouble, "F64"},
                                                              {at::kFloat, "F32"},
                                                              {at::kHalf, "F16"},
                                                              {at::kBFloat16, "BF16"},
                                                              {at::kLong, "I64"}};
  nlohmann::json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor dense = tensor.contiguous();
    const size_t begin = data.size();
    data.append(static_cast<const char*>(dense.data_ptr()), dense.nbytes());
    header[name] = {{"dtype", names.at(dense.scalar_type())},
                    {"shape", dense.sizes().vec()},
                    {"data_offsets", {begin, data.size()}}};
  }
  write_safetensors_bytes(path, header.dump(), data);
}

}  // namespace rondo
