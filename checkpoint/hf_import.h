// Turns a Hugging Face model folder into a checkpoint whose layers share weights.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "model/model_spec.h"
#include "model/parameter_list.h"
#include "model/sharing_map.h"

namespace rondo {

/// Which of the N source layers a component of a slot with M components is made of (Relaxed
/// Recursive Transformers, arXiv 2410.20672):
/// `stepwise` layer floor(i·(N−1)/(M−1)), `lower` layer i, `upper` layer N−M+i, `average` the mean
/// over the layers that use the component. i is the component's id.
enum class SharingInit { stepwise, average, lower, upper };

/// "stepwise", …; throws UserError that lists them.
SharingInit parse_sharing_init(const std::string& name);

/// The source layers of component `id` of `slot`, ascending; one, except for `average`.
std::vector<int> source_layers(const SharingMap& map, Slot slot, int id, SharingInit init);

/// The tensor of one parameter, in its shape.
using TensorSource = std::function<torch::Tensor(const ParameterSpec&)>;

/// The weights of the model in DIR for every parameter without adapters, in the stored dtype (an
/// average: float64). One tensor is in memory at a time. Rotary halves are as in transformers.
TensorSource hugging_face_tensors(const std::string& dir, const ModelSpec& model,
                                  const SharingMap& map, SharingInit init);

/// Writes a checkpoint without optimizer state, one parameter after the other, converted to
/// `dtype` (float32 or float64). Serial. Nothing is left of it when `source` throws.
void write_model(const std::string& file, const CheckpointHeader& header,
                 const TensorSource& source, torch::Dtype dtype);

struct HfImportOptions {
  std::string from;             ///< folder with config.json and safetensors
  std::string to;               ///< FILE.h5
  SharingOptions sharing = {};  ///< strategy "none" keeps every layer
  SharingInit init = SharingInit::stepwise;
  torch::Dtype dtype = torch::kFloat32;
};

/// `rondo convert --from hf:DIR --to FILE.h5`: step 0. Throws UserError.
void convert_hugging_face(const HfImportOptions& options);

}  // namespace rondo
