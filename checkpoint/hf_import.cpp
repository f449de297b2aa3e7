#include "checkpoint/hf_import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <set>

#include "base/user_error.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/model_json.h"
#include "checkpoint/safetensors.h"

namespace rondo {
namespace {

/// Which slot and component a parameter belongs to; nothing for the embedding, final norm and head.
struct SlotComponent {
  Slot slot;
  int id;
};

std::optional<SlotComponent> slot_component(const std::string& component) {
  for (Slot slot : all_slots) {
    const std::string prefix = fmt::format("{}/", slot_name(slot));
    if (component.starts_with(prefix)) {
      return SlotComponent{slot, std::stoi(component.substr(prefix.size()))};
    }
  }
  return std::nullopt;
}

/// The parameters of untied layers that one parameter is the mean of.
std::vector<ParameterSpec> sources_of(const ParameterSpec& parameter, const SharingMap& map,
                                      SharingInit init) {
  const auto component = slot_component(parameter.component);
  if (!component) return {parameter};
  std::vector<ParameterSpec> sources;
  for (int layer : source_layers(map, component->slot, component->id, init)) {
    sources.push_back(parameter);
    sources.back().component = fmt::format("{}/{}", slot_name(component->slot), layer);
  }
  return sources;
}

/// Every tensor of the folder must be one that the model has: a bias that nobody reads would make
/// another function without a word.
void check_no_other_tensors(const SafetensorsFolder& folder, const std::string& dir,
                            const ModelSpec& model) {
  const SharingMap untied = make_sharing_map({}, static_cast<int>(model.depth));
  std::set<std::string> known;
  for (const ParameterSpec& parameter : parameter_list(model, untied, 0)) {
    known.insert(hf_tensor(model, parameter).name);
  }
  for (const std::string& name : folder.names()) {
    if (known.count(name) > 0 || hf_ignores(name)) continue;
    throw UserError(fmt::format("{} has tensor {}, which the model of its config.json does not use",
                                dir, name));
  }
}

torch::Tensor read_shaped(const SafetensorsFolder& folder, const std::string& dir,
                          const std::string& name, const std::vector<int64_t>& shape) {
  torch::Tensor tensor = folder.read(name);
  if (tensor.sizes() != torch::IntArrayRef(shape)) {
    throw UserError(fmt::format("{}: tensor {} has shape {}, config.json asks for {}", dir, name,
                                tensor.sizes().vec(), shape));
  }
  if (!tensor.is_floating_point()) {
    throw UserError(fmt::format("{}: tensor {} does not hold floats", dir, name));
  }
  return tensor;
}

}  // namespace

SharingInit parse_sharing_init(const std::string& name) {
  if (name == "stepwise") return SharingInit::stepwise;
  if (name == "average") return SharingInit::average;
  if (name == "lower") return SharingInit::lower;
  if (name == "upper") return SharingInit::upper;
  throw UserError(fmt::format("init = '{}': use stepwise, average, lower or upper", name));
}

std::vector<int> source_layers(const SharingMap& map, Slot slot, int id, SharingInit init) {
  const int depth = map.depth();
  const int unique = map.unique(slot);
  switch (init) {
    case SharingInit::stepwise:
      return {unique == 1 ? 0 : id * (depth - 1) / (unique - 1)};
    case SharingInit::lower:
      return {id};
    case SharingInit::upper:
      return {depth - unique + id};
    case SharingInit::average:
      break;
  }
  std::vector<int> users;
  for (int layer = 0; layer < depth; ++layer) {
    if (map.id(slot, layer) == id) users.push_back(layer);
  }
  return users;
}

TensorSource hugging_face_tensors(const std::string& dir, const ModelSpec& model,
                                  const SharingMap& map, SharingInit init) {
  const auto folder = std::make_shared<const SafetensorsFolder>(dir);
  check_no_other_tensors(*folder, dir, model);
  const auto read = [=](const ParameterSpec& source) {
    const HfTensor from = hf_tensor(model, source);
    return take_part(from, read_shaped(*folder, dir, from.name, hf_shape(from, source.shape)),
                     model);
  };
  return [=](const ParameterSpec& parameter) {
    const std::vector<ParameterSpec> sources = sources_of(parameter, map, init);
    torch::Tensor sum = read(sources.front());
    if (sources.size() == 1) return sum;
    sum = sum.to(torch::kFloat64);
    for (size_t i = 1; i < sources.size(); ++i) sum += read(sources[i]);
    return sum / static_cast<double>(sources.size());
  };
}

void write_model(const std::string& file, const CheckpointHeader& header,
                 const TensorSource& source, torch::Dtype dtype) {
  const std::vector<ParameterSpec> parameters =
      parameter_list(header.model, header.sharing, header.relaxation_rank);
  std::vector<DatasetSpec> datasets;
  for (const ParameterSpec& parameter : parameters) {
    datasets.push_back({parameter_dataset(parameter), parameter.shape, dtype});
  }
  CheckpointWriter writer(file, header, datasets, Writers::alone());
  for (const ParameterSpec& parameter : parameters) {
    const torch::Tensor values = source(parameter).to(dtype).contiguous();
    writer.write({parameter_dataset(parameter), 0, values.view(-1)});
  }
  writer.commit();
}

void convert_hugging_face(const HfImportOptions& options) {
  CheckpointHeader header;
  header.model = read_hugging_face_config(options.from);
  header.sharing = make_sharing_map(options.sharing, static_cast<int>(header.model.depth));
  header.config = model_to_toml(header.model);
  write_model(options.to, header,
              hugging_face_tensors(options.from, header.model, header.sharing, options.init),
              options.dtype);
}

}  // namespace rondo
