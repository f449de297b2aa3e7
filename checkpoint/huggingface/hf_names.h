// Where transformers keeps each tensor of each family.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "model/definition/foreign_names.h"
#include "model/definition/model_spec.h"
#include "model/definition/parameters.h"

namespace rondo {

/// For a parameter of an untied model, whose component ids are layers; no adapters.
ForeignTensor hf_tensor(const ModelSpec& model, const ParameterSpec& parameter);

/// The shape of theirs, when ours is `shape`.
std::vector<int64_t> hf_shape(const ForeignTensor& from, const std::vector<int64_t>& shape);

/// Ours, in its shape, from theirs in the shape above.
at::Tensor take_part(const ForeignTensor& from, const at::Tensor& theirs, const ModelSpec& model);

/// The inverse: theirs, from ours in the order of the parameter list.
at::Tensor put_parts(const ForeignTensor& to, const std::vector<at::Tensor>& ours,
                     const ModelSpec& model);

/// One of their tensors, and ours that it is stacked of.
struct HfStack {
  ForeignTensor tensor;
  std::vector<ParameterSpec> parts;
};

/// All of theirs, in the order of the parameters of the untied model.
std::vector<HfStack> hf_stacks(const ModelSpec& model);

/// What the names of all but the head begin with, "transformer."; a folder of the model without its
/// head lacks it.
std::string hf_base(const ModelSpec& model);

/// Their head, which a model with tied embeddings may store once more.
std::string hf_head(const ModelSpec& model);

/// Another name of the head that a folder may have instead; empty: none.
std::string hf_other_head(const ModelSpec& model);

/// Their embedding.
std::string hf_embedding(const ModelSpec& model);

/// Whether theirs may be left unread: a buffer that older versions stored.
bool hf_ignores(const std::string& name);

}  // namespace rondo
