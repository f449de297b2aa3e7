// Hugging Face folders that say what is not so.
#pragma once

#include <vector>

#include "tests/checkpoint/damage.h"

namespace rondo {

/// Of model.safetensors of the folder of `hugging_face_example.h`: its header's length, and entries
/// of the header. Nothing of it can be read.
std::vector<Damage> lying_headers();

/// Of the index of a folder with shards a.safetensors and b.safetensors.
std::vector<Damage> lying_indices();

/// Every entry of config.json with values that nobody writes there.
std::vector<Damage> lying_configs();

}  // namespace rondo
