#include "model/initial_values.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "base/splitmix64.h"

namespace rondo {
namespace {

/// FNV-1a over the path, mixed with the seed.
uint64_t stream_of(uint64_t seed, const std::string& path) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix_bits(hash ^ (seed * splitmix64_step));
}

}  // namespace

at::Tensor initial_value(const ParameterSpec& spec, uint64_t seed) {
  const auto [mean, deviation] = spec.start;
  const auto wide = at::dtype(at::kDouble);
  if (deviation == 0.0) return at::full(spec.shape, mean, wide);
  const at::Generator generator = at::detail::createCPUGenerator(stream_of(seed, spec.path()));
  return at::empty(spec.shape, wide).normal_(mean, deviation, generator);
}

void draw_initial_values(ComponentStore& store, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const ParameterSpec& spec : store.parameters()) {
    at::Tensor value = store.at(spec.path()).value;
    value.copy_(initial_value(spec, seed));
  }
}

}  // namespace rondo
