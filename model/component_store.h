// The one owner of every weight.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/promote_types.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/definition/parameters.h"

namespace rondo {

/// Element types of a run. Gradients, optimizer state and master weights have type `master`.
struct Precision {
  at::ScalarType compute;  ///< of weights in use and activations
  at::ScalarType master;

  /// "float32", "float64" or "bfloat16" (bfloat16 compute with float32 masters). Throws UserError.
  static Precision parse(const std::string& name);
};

/// What sums over tensors of type `compute` are kept in.
inline at::ScalarType master_of(at::ScalarType compute) {
  return at::promote_types(compute, at::kFloat);
}

/// One weight tensor: two views into a flat buffer. A value, not an owner; never an autograd leaf:
/// the operations in this folder add weight gradients straight into `gradient`.
struct Parameter {
  at::Tensor value;     ///< [shape], compute type
  at::Tensor gradient;  ///< [shape], master type; undefined where nothing is trained
};

/// Which components share a flat buffer, and into how many equal shards it must divide.
struct BufferPlan {
  std::vector<Component> components;
  int64_t shards = 1;
  bool trained = true;  ///< else there are no gradients
};

/// Contiguous memory that is reduced, sharded and updated as one. Tensors of one component lie
/// back to back, so that neighbours can be used as one matrix.
struct FlatBuffer {
  struct Entry {
    ParameterSpec spec;
    int64_t begin;  ///< first element in the buffer
  };
  std::vector<Entry> entries;
  at::Tensor values;     ///< [n], compute type
  at::Tensor gradients;  ///< [n], master type; undefined where nothing is trained
};

/// Owns the components that one process holds. Layers refer to them by index or view; nothing is
/// stored, updated or counted twice.
class ComponentStore {
 public:
  /// Allocates one buffer per plan, zero-filled. Parameters whose component is in no plan are not
  /// held by this process.
  ComponentStore(const std::vector<ParameterSpec>& parameters, const std::vector<BufferPlan>& plans,
                 Precision precision, at::Device device);

  /// The parameter of that path ("attention/3/q_proj/weight"); it must be held.
  const Parameter& at(const std::string& path) const;

  const Parameter& at(const Component& component, const std::string& name) const;

  /// Consecutive tensors of one component as one, along their first dimension and without a copy:
  /// linears as a [sum of out, in] matrix, biases as a [sum of out] vector.
  Parameter stacked(const Component& component, const std::vector<std::string>& names) const;

  std::vector<FlatBuffer>& buffers() { return buffers_; }
  const std::vector<FlatBuffer>& buffers() const { return buffers_; }
  Precision precision() const { return precision_; }
  at::Device device() const { return device_; }

  /// Every parameter once, in buffer order.
  std::vector<ParameterSpec> parameters() const;

 private:
  void allocate(const BufferPlan& plan, const std::vector<ParameterSpec>& parameters);

  Precision precision_;
  at::Device device_;
  std::vector<FlatBuffer> buffers_;
  std::unordered_map<std::string, Parameter> by_path_;
};

}  // namespace rondo
