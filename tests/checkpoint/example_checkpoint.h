// A small checkpoint that every test of this folder knows.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>

#include <string>
#include <utility>
#include <vector>

#include "checkpoint/format/checkpoint.h"

namespace rondo {

inline CheckpointHeader example_header() {
  CheckpointHeader header;
  header.step = 100;
  header.tokens = 5'000'000'000;
  header.config = "[model]\nhidden = 8  # größer\n";
  header.model.spec.hidden = 8;
  header.model.spec.depth = 4;
  header.model.spec.heads = 2;
  header.model.spec.kv_heads = 1;
  header.model.spec.head_dim = 4;
  header.model.spec.ffn = 12;
  header.model.spec.vocab = 16;
  header.model.spec.rope_theta = 100000.0;
  header.model.spec.norm_eps = 1e-6;
  header.model.spec.tie_embeddings = false;
  SharingMap& map = header.model.sharing;
  map.of(Slot::attention) = {0, 1, 0, 1};
  map.of(Slot::feed_forward) = {0, 0, 0, 0};
  map.of(Slot::attention_norm) = map.of(Slot::feed_forward_norm) = {0, 1, 2, 3};
  header.model.relaxation_rank = 2;
  header.tokenizer = StoredTokenizer{"bytes", "", {7}};
  return header;
}

inline std::vector<ParameterSpec> example_parameters() {
  const CheckpointHeader header = example_header();
  return parameters(header.model);
}

/// The parameters in float32 and both moments in float64.
inline std::vector<DatasetSpec> example_datasets() {
  std::vector<DatasetSpec> datasets;
  for (const ParameterSpec& parameter : example_parameters()) {
    datasets.push_back({parameter_dataset(parameter), parameter.shape, at::kFloat});
    datasets.push_back({exp_avg_dataset(parameter), parameter.shape, at::kDouble});
    datasets.push_back({exp_avg_sq_dataset(parameter), parameter.shape, at::kDouble});
  }
  return datasets;
}

/// Value i of dataset k is k + i/1024, exact in both types.
inline at::Tensor example_values(const DatasetSpec& spec, size_t k) {
  const auto index = at::arange(spec.count(), at::dtype(at::kDouble));
  return (index / 1024 + static_cast<double>(k)).to(spec.dtype);
}

/// The part of every dataset that `rank` of `size` owns: a flat range that ends mid-row.
inline std::vector<DatasetSlice> example_slices(int64_t rank, int64_t size) {
  std::vector<DatasetSlice> slices;
  const std::vector<DatasetSpec> datasets = example_datasets();
  for (size_t k = 0; k < datasets.size(); ++k) {
    const int64_t begin = datasets[k].count() * rank / size;
    const int64_t end = datasets[k].count() * (rank + 1) / size;
    slices.push_back(
        {datasets[k].path, begin, example_values(datasets[k], k).slice(0, begin, end)});
  }
  return slices;
}

}  // namespace rondo
