#include "model/initial_values.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "model/definition/families.h"

namespace rondo {
namespace {

/// FNV-1a over the path, mixed with the seed by the finaliser of SplitMix64.
uint64_t stream_of(uint64_t seed, const std::string& path) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  hash ^= seed * 0x9e3779b97f4a7c15u;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

double deviation(const ParameterSpec& spec, int64_t depth) {
  if (spec.name.ends_with("/a")) return 1.0 / std::sqrt(static_cast<double>(spec.shape[1]));
  if (spec.name.ends_with("/b")) return 0.0;
  const bool into_stream = spec.name == "o_proj/weight" || spec.name == "down_proj/weight";
  return into_stream ? 0.02 / std::sqrt(2.0 * static_cast<double>(depth)) : 0.02;
}

}  // namespace

torch::Tensor initial_value(const ParameterSpec& spec, const ModelDefinition& model,
                            uint64_t seed) {
  const auto wide = torch::dtype(torch::kFloat64);
  if (spec.shape.size() == 1) {
    const bool gain = spec.path().ends_with("/weight") && !spec.component.starts_with("adapters/");
    return torch::full(spec.shape, gain ? 1.0 - block_parts(model.spec).gain_offset : 0.0, wide);
  }
  const double sigma = deviation(spec, model.spec.depth);
  if (sigma == 0.0) return torch::zeros(spec.shape, wide);
  const at::Generator generator = at::detail::createCPUGenerator(stream_of(seed, spec.path()));
  return torch::empty(spec.shape, wide).normal_(0.0, sigma, generator);
}

void draw_initial_values(ComponentStore& store, const ModelDefinition& model, uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for (const ParameterSpec& spec : store.parameters()) {
    torch::Tensor value = store.at(spec.path()).value;
    value.copy_(initial_value(spec, model, seed));
  }
}

}  // namespace rondo
