// One model made of another: shared, relaxed, untied, or under another map.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/conversion/sharing_init.h"
#include "checkpoint/conversion/untied_model.h"

namespace rondo {

/// zero: the relaxed model starts as the shared one. svd: each layer's term is the best of its rank
/// for what the layer was before (Relaxed Recursive Transformers, arXiv 2410.20672, section 2.3).
enum class AdapterInit : uint8_t { zero, svd };

struct Conversion {
  UntiedModel base = {};      ///< what components are made of
  UntiedModel original = {};  ///< what adapters bring a layer back to
  SharingMap map = {};
  SharingInit init = SharingInit::average;
  int64_t relaxation_rank = 0;
  AdapterInit adapter = AdapterInit::svd;
  bool copies_adapters = false;  ///< those of `base`, as they are
  uint64_t seed = 1;             ///< of what is drawn
};

/// How far the layers are from what was made of them, by tensor of a component.
struct Distance {
  double squares = 0.0;  ///< ‖layers − model‖², Frobenius, over the layers that use the component
  double of = 0.0;       ///< ‖layers‖²; of a low-rank term, ‖what it was to bring back‖²
};

/// Makes the parameters of the new model, one at a time.
class Converter {
 public:
  explicit Converter(Conversion conversion);

  /// Of the new model, adapters included; float64 where something was computed.
  at::Tensor parameter(const ParameterSpec& parameter);

  /// Optimizer moments, made like the weights; only where `base` has them, and meaningful only
  /// without adapters.
  at::Tensor exp_avg(const ParameterSpec& parameter) const;
  at::Tensor exp_avg_sq(const ParameterSpec& parameter) const;

  /// Of every tensor whose layers differed from it: of the layers in `original`.
  const std::map<std::string, Distance>& distances() const { return distances_; }

 private:
  /// A slot whose map stays keeps its components (the mean of equal layers), whatever becomes of
  /// the others.
  SharingInit init_of(Slot slot) const;
  at::Tensor combined(const TensorSource& source, const ParameterSpec& parameter) const;
  at::Tensor shared(const ParameterSpec& parameter) const;
  /// What a tensor of an adapter is added to, in the layer: "attention/7", "q_proj/weight".
  ParameterSpec target(const ParameterSpec& adapter) const;
  /// What the target lacks of the original, in its shape; zeros where none is asked for.
  at::Tensor residual(const ParameterSpec& adapter) const;
  const at::Tensor& low_rank(const ParameterSpec& parameter);
  void note_distance(const ParameterSpec& parameter, const at::Tensor& made);

  Conversion conversion_;
  std::map<std::string, ParameterSpec> specs_;  ///< of the new model, by path
  std::map<std::string, Distance> distances_;
  std::map<std::string, at::Tensor> adapters_;  ///< of the linear made last, by path
};

/// Writes a checkpoint, one tensor after the other, in `dtype` (float32 or float64); with
/// `optimizer` its moments too. Serial. `progress` hears of each parameter: number and all. Nothing
/// is left of the file when something throws.
void write_converted(const std::string& file, const CheckpointHeader& header, Converter& converter,
                     at::ScalarType dtype, bool optimizer,
                     const std::function<void(int64_t, int64_t)>& progress);

}  // namespace rondo
