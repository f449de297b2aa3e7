#include "checkpoint/conversion/conversion.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <tuple>
#include <utility>

#include "checkpoint/format/checkpoint_writer.h"
#include "model/initial_values.h"

namespace rondo {
namespace {

using at::Tensor;

double squares(const Tensor& t) { return t.to(at::kDouble).square().sum().item<double>(); }

/// "q_proj" of "q_proj/a"
std::string module_of(const ParameterSpec& parameter) {
  return parameter.name.substr(0, parameter.name.rfind('/'));
}

/// B [out, r] and A [r, in] with B·A the best approximation of `residual` [out, in] of that rank.
std::pair<Tensor, Tensor> truncated(const Tensor& residual, int64_t rank) {
  const auto [u, s, vh] = at::linalg_svd(residual, /*full_matrices=*/false);
  return {u.narrow(1, 0, rank) * s.narrow(0, 0, rank), vh.narrow(0, 0, rank)};
}

}  // namespace

Converter::Converter(Conversion conversion) : conversion_(std::move(conversion)) {
  for (const ParameterSpec& spec : parameters(
           {conversion_.base.header.model.spec, conversion_.map, conversion_.relaxation_rank})) {
    specs_[spec.path()] = spec;
  }
}

SharingInit Converter::init_of(Slot slot) const {
  const bool stays = conversion_.map.of(slot) == conversion_.base.header.model.sharing.of(slot);
  return stays ? SharingInit::average : conversion_.init;
}

/// The mean over the source layers; of equal layers it is the layer, to the bit.
Tensor Converter::combined(const TensorSource& source, const ParameterSpec& parameter) const {
  const auto& [kind, slot, id] = parameter.component;
  if (kind != Kind::slot) return source(parameter);
  const std::vector<int> layers = source_layers(conversion_.map, slot, id, init_of(slot));
  const Tensor first = source(in_component(parameter, layers.front()));
  Tensor sum = first.to(at::kDouble);
  bool equal = true;
  for (size_t i = 1; i < layers.size(); ++i) {
    const Tensor next = source(in_component(parameter, layers[i]));
    equal = equal && next.equal(first);
    sum = sum + next;
  }
  return equal ? first : sum / static_cast<double>(layers.size());
}

Tensor Converter::shared(const ParameterSpec& parameter) const {
  const auto& [kind, slot, id] = parameter.component;
  if (kind == Kind::slot && init_of(slot) == SharingInit::random) {
    return initial_value(parameter, conversion_.seed);
  }
  return combined(conversion_.base.parameters, parameter);
}

ParameterSpec Converter::target(const ParameterSpec& adapter) const {
  const auto& [kind, slot, layer] = adapter.component;
  const Component component{Kind::slot, slot, conversion_.map.id(slot, layer)};
  const std::string name =
      adapter.role == Role::matrix ? module_of(adapter) + "/weight" : adapter.name;
  return in_component(specs_.at(fmt::format("{}/{}", to_string(component), name)), layer);
}

Tensor Converter::residual(const ParameterSpec& adapter) const {
  const ParameterSpec layer = target(adapter);
  if (conversion_.adapter == AdapterInit::zero) return at::zeros(layer.shape, at::kDouble);
  return conversion_.original.parameters(layer).to(at::kDouble) -
         shared(in_map(layer, conversion_.map)).to(at::kDouble);
}

/// Both tensors of a linear's adapter come from one decomposition, so the second is kept.
const Tensor& Converter::low_rank(const ParameterSpec& parameter) {
  const auto known = adapters_.find(parameter.path());
  if (known != adapters_.end()) return known->second;
  adapters_.clear();
  const std::string path =
      fmt::format("{}/{}", to_string(parameter.component), module_of(parameter));
  const Tensor rest = residual(parameter);  // [out, in]
  if (rest.any().item<bool>()) {
    const int64_t rank = specs_.at(path + "/a").shape[0];
    std::tie(adapters_[path + "/b"], adapters_[path + "/a"]) = truncated(rest, rank);
    Distance& distance = distances_[target(parameter).path()];
    distance.squares = squares(rest - adapters_[path + "/b"].mm(adapters_[path + "/a"]));
    distance.of = squares(rest);
  } else {
    // A Gaussian and B zero: no change, but a gradient.
    for (const std::string& tensor : {path + "/a", path + "/b"}) {
      adapters_[tensor] = initial_value(specs_.at(tensor), conversion_.seed);
    }
  }
  return adapters_.at(parameter.path());
}

void Converter::note_distance(const ParameterSpec& parameter, const Tensor& made) {
  const auto& [kind, slot, id] = parameter.component;
  const bool merges =
      conversion_.init == SharingInit::average || conversion_.init == SharingInit::owner;
  if (kind != Kind::slot) return;
  // A relaxed model's own terms bring back whatever is not in front of a branch.
  if (conversion_.relaxation_rank > 0 ? !is_layer_norm(slot) : !merges) return;
  const std::vector<int> layers = source_layers(conversion_.map, slot, id, SharingInit::average);
  Distance distance;
  for (size_t i = 0; layers.size() > 1 && i < layers.size(); ++i) {
    const Tensor layer = conversion_.original.parameters(in_component(parameter, layers[i]));
    distance.squares += squares(layer.to(at::kDouble) - made.to(at::kDouble));
    distance.of += squares(layer);
  }
  if (distance.squares > 0.0) distances_[parameter.path()] = distance;
}

Tensor Converter::parameter(const ParameterSpec& parameter) {
  if (parameter.component.kind == Kind::adapter) {
    if (conversion_.copies_adapters) return conversion_.base.parameters(parameter);
    return parameter.role == Role::matrix ? low_rank(parameter) : residual(parameter);
  }
  const Tensor made = shared(parameter);
  note_distance(parameter, made);
  return made;
}

Tensor Converter::exp_avg(const ParameterSpec& parameter) const {
  return combined(conversion_.base.exp_avg, parameter);
}

Tensor Converter::exp_avg_sq(const ParameterSpec& parameter) const {
  return combined(conversion_.base.exp_avg_sq, parameter);
}

void write_converted(const std::string& file, const CheckpointHeader& header, Converter& converter,
                     at::ScalarType dtype, bool optimizer,
                     const std::function<void(int64_t, int64_t)>& progress) {
  const std::vector<ParameterSpec> all = parameters(header.model);
  CheckpointWriter writer(file, header, datasets_of(all, dtype, optimizer), Writers::alone());
  const auto write = [&](const std::string& dataset, const Tensor& values) {
    writer.write({dataset, 0, values.to(dtype).contiguous().view(-1)});
  };
  int64_t done = 0;
  for (const ParameterSpec& parameter : all) {
    write(parameter_dataset(parameter), converter.parameter(parameter));
    if (optimizer) {
      write(exp_avg_dataset(parameter), converter.exp_avg(parameter));
      write(exp_avg_sq_dataset(parameter), converter.exp_avg_sq(parameter));
    }
    progress(++done, static_cast<int64_t>(all.size()));
  }
  writer.commit();
}

}  // namespace rondo
