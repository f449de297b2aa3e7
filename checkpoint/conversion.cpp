#include "checkpoint/conversion.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <tuple>
#include <utility>

#include "checkpoint/checkpoint_writer.h"
#include "model/initial_values.h"

namespace rondo {
namespace {

using torch::Tensor;

double squares(const Tensor& t) { return t.to(torch::kFloat64).square().sum().item<double>(); }

/// "adapters/7/attention", "q_proj/a": layer, slot and linear.
struct AdapterPlace {
  int layer = 0;
  Slot slot = Slot::attention;
  std::string linear;
};

bool is_adapter(const ParameterSpec& parameter) {
  return parameter.component.starts_with("adapters/");
}

AdapterPlace place_of(const ParameterSpec& adapter) {
  const size_t first = adapter.component.find('/') + 1;
  const size_t second = adapter.component.find('/', first);
  const bool attends = adapter.component.substr(second + 1) == slot_name(Slot::attention);
  return {std::stoi(adapter.component.substr(first, second - first)),
          attends ? Slot::attention : Slot::feed_forward,
          adapter.name.substr(0, adapter.name.rfind('/'))};
}

/// B [out, r] and A [r, in] with B·A the best approximation of `residual` [out, in] of that rank.
std::pair<Tensor, Tensor> truncated(const Tensor& residual, int64_t rank) {
  const auto [u, s, vh] = at::linalg_svd(residual, /*full_matrices=*/false);
  return {u.narrow(1, 0, rank) * s.narrow(0, 0, rank), vh.narrow(0, 0, rank)};
}

}  // namespace

Converter::Converter(Conversion conversion) : conversion_(std::move(conversion)) {
  for (const ParameterSpec& spec : parameter_list(conversion_.base.header.model, conversion_.map,
                                                  conversion_.relaxation_rank)) {
    specs_[spec.path()] = spec;
  }
}

/// The mean over the source layers; of equal layers it is the layer, to the bit.
Tensor Converter::combined(const TensorSource& source, const ParameterSpec& parameter) const {
  const auto where = slot_component(parameter.component);
  if (!where) return source(parameter);
  const std::vector<int> layers =
      source_layers(conversion_.map, where->slot, where->id, conversion_.init);
  Tensor sum = source(in_component(parameter, where->slot, layers.front()));
  if (layers.size() == 1) return sum;
  sum = sum.to(torch::kFloat64);
  for (size_t i = 1; i < layers.size(); ++i) {
    sum = sum + source(in_component(parameter, where->slot, layers[i]));
  }
  return sum / static_cast<double>(layers.size());
}

Tensor Converter::shared(const ParameterSpec& parameter) const {
  const bool drawn =
      conversion_.init == SharingInit::random && slot_component(parameter.component).has_value();
  if (drawn) {
    return initial_value(parameter, {conversion_.base.header.model, conversion_.map},
                         conversion_.seed);
  }
  return combined(conversion_.base.parameters, parameter);
}

/// Both tensors of a linear's adapter come from one decomposition, so the second is kept.
const Tensor& Converter::adapter(const ParameterSpec& parameter) {
  const auto known = adapters_.find(parameter.path());
  if (known != adapters_.end()) return known->second;
  adapters_.clear();
  const AdapterPlace place = place_of(parameter);
  const bool is_a = parameter.name.ends_with("/a");
  const int64_t rank = parameter.shape[is_a ? 0 : 1];
  const std::string path = fmt::format("{}/{}", parameter.component, place.linear);
  const ParameterSpec& component =
      specs_.at(fmt::format("{}/{}/{}/weight", slot_name(place.slot),
                            conversion_.map.id(place.slot, place.layer), place.linear));
  const ParameterSpec layer = in_component(component, place.slot, place.layer);
  Tensor residual;
  if (conversion_.adapter == AdapterInit::svd) {
    residual = conversion_.original.parameters(layer).to(torch::kFloat64) -
               shared(component).to(torch::kFloat64);
  }
  if (residual.defined() && residual.any().item<bool>()) {
    std::tie(adapters_[path + "/b"], adapters_[path + "/a"]) = truncated(residual, rank);
    Distance& distance = distances_[layer.path()];
    distance.squares = squares(residual - adapters_[path + "/b"].mm(adapters_[path + "/a"]));
    distance.of = squares(residual);
  } else {
    // A Gaussian and B zero: no change, but a gradient.
    const ModelDefinition model{conversion_.base.header.model, conversion_.map,
                                conversion_.relaxation_rank};
    for (const std::string& tensor : {path + "/a", path + "/b"}) {
      adapters_[tensor] = initial_value(specs_.at(tensor), model, conversion_.seed);
    }
  }
  return adapters_.at(parameter.path());
}

void Converter::note_distance(const ParameterSpec& parameter, const Tensor& made) {
  const auto where = slot_component(parameter.component);
  const bool merges =
      conversion_.init == SharingInit::average || conversion_.init == SharingInit::owner;
  // A relaxed model's low-rank terms bring matrices back, and nothing else.
  const bool counts = conversion_.relaxation_rank > 0 ? parameter.shape.size() == 1 : merges;
  if (!where || !counts) return;
  const std::vector<int> layers =
      source_layers(conversion_.map, where->slot, where->id, SharingInit::average);
  Distance distance;
  for (size_t i = 0; layers.size() > 1 && i < layers.size(); ++i) {
    const Tensor layer =
        conversion_.original.parameters(in_component(parameter, where->slot, layers[i]));
    distance.squares += squares(layer.to(torch::kFloat64) - made.to(torch::kFloat64));
    distance.of += squares(layer);
  }
  if (distance.squares > 0.0) distances_[parameter.path()] = distance;
}

Tensor Converter::parameter(const ParameterSpec& parameter) {
  if (is_adapter(parameter)) {
    return conversion_.copies_adapters ? conversion_.base.parameters(parameter)
                                       : adapter(parameter);
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
                     torch::Dtype dtype, bool optimizer,
                     const std::function<void(int64_t, int64_t)>& progress) {
  const std::vector<ParameterSpec> parameters = parameters_of(header);
  CheckpointWriter writer(file, header, datasets_of(parameters, dtype, optimizer),
                          Writers::alone());
  const auto write = [&](const std::string& dataset, const Tensor& values) {
    writer.write({dataset, 0, values.to(dtype).contiguous().view(-1)});
  };
  int64_t done = 0;
  for (const ParameterSpec& parameter : parameters) {
    write(parameter_dataset(parameter), converter.parameter(parameter));
    if (optimizer) {
      write(exp_avg_dataset(parameter), converter.exp_avg(parameter));
      write(exp_avg_sq_dataset(parameter), converter.exp_avg_sq(parameter));
    }
    progress(++done, static_cast<int64_t>(parameters.size()));
  }
  writer.commit();
}

}  // namespace rondo
