#include "checkpoint/conversion/conversion.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <tuple>
#include <utility>

#include "checkpoint/format/checkpoint_writer.h"
#include "model/initial_values.h"

namespace rondo {
namespace {

using torch::Tensor;

double squares(const Tensor& t) { return t.to(torch::kFloat64).square().sum().item<double>(); }

/// Whose an adapter's tensor is, and what of the slot's component it is added to.
struct AdapterPlace {
  int layer = 0;
  Slot slot = Slot::attention;
  std::string target;  ///< "q_proj/weight" for "q_proj/a" and "q_proj/b", else its own name
};

bool is_adapter(const ParameterSpec& parameter) {
  return parameter.component.starts_with("adapters/");
}

bool is_vector(const ParameterSpec& parameter) { return parameter.shape.size() == 1; }

/// "q_proj" of "q_proj/a"
std::string module_of(const ParameterSpec& parameter) {
  return parameter.name.substr(0, parameter.name.rfind('/'));
}

AdapterPlace place_of(const ParameterSpec& adapter) {
  const size_t first = adapter.component.find('/') + 1;
  const size_t second = adapter.component.find('/', first);
  const bool attends = adapter.component.substr(second + 1) == slot_name(Slot::attention);
  return {std::stoi(adapter.component.substr(first, second - first)),
          attends ? Slot::attention : Slot::feed_forward,
          is_vector(adapter) ? adapter.name : module_of(adapter) + "/weight"};
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

SharingInit Converter::init_of(Slot slot) const {
  const bool stays = conversion_.map.of(slot) == conversion_.base.header.sharing.of(slot);
  return stays ? SharingInit::average : conversion_.init;
}

/// The mean over the source layers; of equal layers it is the layer, to the bit.
Tensor Converter::combined(const TensorSource& source, const ParameterSpec& parameter) const {
  const auto where = slot_component(parameter.component);
  if (!where) return source(parameter);
  const std::vector<int> layers =
      source_layers(conversion_.map, where->slot, where->id, init_of(where->slot));
  const Tensor first = source(in_component(parameter, where->slot, layers.front()));
  Tensor sum = first.to(torch::kFloat64);
  bool equal = true;
  for (size_t i = 1; i < layers.size(); ++i) {
    const Tensor next = source(in_component(parameter, where->slot, layers[i]));
    equal = equal && next.equal(first);
    sum = sum + next;
  }
  return equal ? first : sum / static_cast<double>(layers.size());
}

Tensor Converter::shared(const ParameterSpec& parameter) const {
  const auto where = slot_component(parameter.component);
  if (where && init_of(where->slot) == SharingInit::random) {
    return initial_value(parameter, {conversion_.base.header.model, conversion_.map},
                         conversion_.seed);
  }
  return combined(conversion_.base.parameters, parameter);
}

ParameterSpec Converter::target(const ParameterSpec& adapter) const {
  const AdapterPlace place = place_of(adapter);
  const ParameterSpec& component =
      specs_.at(fmt::format("{}/{}/{}", slot_name(place.slot),
                            conversion_.map.id(place.slot, place.layer), place.target));
  return in_component(component, place.slot, place.layer);
}

Tensor Converter::residual(const ParameterSpec& adapter) const {
  const ParameterSpec layer = target(adapter);
  if (conversion_.adapter == AdapterInit::zero) return torch::zeros(layer.shape, torch::kFloat64);
  return conversion_.original.parameters(layer).to(torch::kFloat64) -
         shared(in_map(layer, conversion_.map)).to(torch::kFloat64);
}

/// Both tensors of a linear's adapter come from one decomposition, so the second is kept.
const Tensor& Converter::low_rank(const ParameterSpec& parameter) {
  const auto known = adapters_.find(parameter.path());
  if (known != adapters_.end()) return known->second;
  adapters_.clear();
  const std::string path = fmt::format("{}/{}", parameter.component, module_of(parameter));
  const Tensor rest = residual(parameter);  // [out, in]
  if (rest.any().item<bool>()) {
    const int64_t rank = specs_.at(path + "/a").shape[0];
    std::tie(adapters_[path + "/b"], adapters_[path + "/a"]) = truncated(rest, rank);
    Distance& distance = distances_[target(parameter).path()];
    distance.squares = squares(rest - adapters_[path + "/b"].mm(adapters_[path + "/a"]));
    distance.of = squares(rest);
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
  if (!where) return;
  // A relaxed model's own terms bring back whatever is not in front of a branch.
  if (conversion_.relaxation_rank > 0 ? !is_layer_norm(where->slot) : !merges) return;
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
    if (conversion_.copies_adapters) return conversion_.base.parameters(parameter);
    return is_vector(parameter) ? residual(parameter) : low_rank(parameter);
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
