#include "checkpoint/conversion/untied_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/model_json.h"
#include "checkpoint/huggingface/hf_config.h"
#include "checkpoint/huggingface/hf_files.h"
#include "checkpoint/huggingface/hf_names.h"
#include "checkpoint/huggingface/hf_tokenizer_file.h"
#include "checkpoint/huggingface/safetensors.h"
#include "model/definition/families.h"

namespace rondo {
namespace {

void check_tensor(const SafetensorsFolder& folder, const std::string& dir, const std::string& name,
                  const std::vector<int64_t>& shape) {
  if (!folder.has(name)) {
    throw UserError(
        fmt::format("{} lacks tensor {} of shape {}, which the model of its config.json needs: {}",
                    dir, name, shape, folder.why_missing(name)));
  }
  const SafetensorsFile::Entry& entry = folder.entry(name);
  if (entry.shape != shape) {
    throw UserError(fmt::format("{}: tensor {} has shape {}, config.json asks for {}", dir, name,
                                entry.shape, shape));
  }
  if (!entry.holds_floats()) {
    throw UserError(
        fmt::format("{}: tensor {} is {}: expected F32, F64, F16 or BF16", dir, name, entry.dtype));
  }
}

/// Values that are not finite would spread over all that is made of them.
at::Tensor finite(at::Tensor values, const std::string& file, const std::string& name) {
  const int64_t wrong = values.isfinite().logical_not().sum().item<int64_t>();
  if (wrong == 0) return values;
  throw UserError(fmt::format(
      "{}: tensor {}: {} of {} values are not finite: take a copy of the model from before that",
      file, name, wrong, values.numel()));
}

/// A checkpoint holds tied embeddings once.
void check_tied_head(const SafetensorsFolder& folder, const std::string& dir,
                     const std::string& embedding, const std::string& head) {
  if (at::equal(folder.read(embedding), folder.read(head))) return;
  throw UserError(fmt::format(
      "{}: tensor {} differs from {}, although config.json says that they are tied: set "
      "tie_word_embeddings to false there to keep both, or delete {}",
      dir, head, embedding, head));
}

/// Some are published as the model without its head, whose names lack their beginning (GPT-2).
SafetensorsFolder open_tensors(const std::string& dir, const ModelSpec& model) {
  SafetensorsFolder folder(dir);
  const std::string other_head = hf_other_head(model);
  if (folder.has(other_head) && !folder.has(hf_head(model))) {
    folder.rename(other_head, hf_head(model));
  }
  const std::vector<std::string> names = folder.names();
  const std::string base = hf_base(model);
  const bool bare = std::none_of(names.begin(), names.end(), [&](const std::string& name) {
    return name.starts_with(base) || name == hf_head(model);
  });
  if (bare) folder.put_below(base);
  // safetensors' save_model keeps one of two names for the same memory.
  const std::string embedding = hf_embedding(model);
  const std::string head = hf_head(model);
  if (model.tie_embeddings && !folder.has(embedding) && folder.has(head)) {
    folder.rename(head, embedding);
  }
  return folder;
}

/// The tensors are those that the model has, no more and no less: a bias that nobody reads would
/// make another function without a word.
void check_tensors(const SafetensorsFolder& folder, const std::string& dir,
                   const ModelSpec& model) {
  std::set<std::string> known;
  for (const ParameterSpec& parameter : parameters(untied(model))) {
    const ForeignTensor tensor = hf_tensor(model, parameter);
    check_tensor(folder, dir, tensor.name, hf_shape(tensor, parameter.shape));
    known.insert(tensor.name);
    const std::string head = hf_head(model);
    if (parameter.component.kind != Kind::embedding || !model.tie_embeddings || !folder.has(head))
      continue;
    check_tensor(folder, dir, head, parameter.shape);
    check_tied_head(folder, dir, tensor.name, head);
    known.insert(head);
  }
  for (const std::string& name : folder.names()) {
    if (known.count(name) > 0 || hf_ignores(name)) continue;
    throw UserError(fmt::format("{} has tensor {}, which the model of its config.json does not use",
                                dir, name));
  }
}

/// "q_proj" of "q_proj/weight"; nothing for biases and norms.
std::optional<std::string> linear_of(const ParameterSpec& parameter) {
  if (parameter.role != Role::matrix) return std::nullopt;
  return parameter.name.substr(0, parameter.name.rfind('/'));
}

/// What a reader of the folder may want to know.
std::vector<std::string> notes_on(const SafetensorsFolder& folder, const std::string& dir) {
  std::vector<std::string> notes;
  if (folder.passes_index_over()) {
    notes.push_back(
        fmt::format("{} holds model.safetensors and shards with an index: the former is read, as "
                    "transformers does",
                    dir));
  }
  const std::vector<std::string> missing = folder.missing();
  if (!missing.empty()) {
    notes.push_back(fmt::format("{}: its index lists what no file holds, nor the model needs: {}",
                                dir, fmt::join(missing, ", ")));
  }
  return notes;
}

/// What the layer's adapters add to the parameter, float64 and in its shape: B·A of a matrix, its
/// own of a vector. Undefined where they have nothing for it, or `own` leaves it out.
at::Tensor own_term(const CheckpointReader& reader, const ParameterSpec& parameter, OwnTerms own) {
  const Component& layer = parameter.component;
  if (layer.kind != Kind::slot || own == OwnTerms::none) return {};
  const std::string adapters =
      fmt::format("{}{}/", all_parameters, to_string({Kind::adapter, layer.slot, layer.id}));
  const auto read = [&](const std::string& name) {
    return finite(reader.read(adapters + name), reader.file(), adapters + name).to(at::kDouble);
  };
  const auto linear = linear_of(parameter);
  const bool counts = !linear || own == OwnTerms::all;
  if (!counts || !reader.has(adapters + (linear ? *linear + "/a" : parameter.name))) return {};
  return linear ? read(*linear + "/b").mm(read(*linear + "/a")) : read(parameter.name);
}

/// The slot whose norm a linear reads; nothing for those after the nonlinear part, and for inner
/// norms.
std::optional<Slot> norm_before(const ParameterSpec& parameter) {
  const std::string module = parameter.name.substr(0, parameter.name.find('/'));
  const bool reads = module.ends_with("_proj") && module != "o_proj" && module != "down_proj";
  if (parameter.component.kind != Kind::slot || !reads) return std::nullopt;
  return parameter.component.slot == Slot::attention ? Slot::attention_norm
                                                     : Slot::feed_forward_norm;
}

}  // namespace

bool is_layer_norm(Slot slot) {
  return slot == Slot::attention_norm || slot == Slot::feed_forward_norm;
}

ParameterSpec in_component(ParameterSpec parameter, int id) {
  parameter.component.id = id;
  return parameter;
}

ParameterSpec in_map(const ParameterSpec& parameter, const SharingMap& map) {
  const Component& layer = parameter.component;
  if (layer.kind != Kind::slot) return parameter;
  return in_component(parameter, map.id(layer.slot, layer.id));
}

UntiedModel open_hugging_face(const std::string& dir) {
  const ModelSpec spec = read_hugging_face_config(dir);
  const auto folder = std::make_shared<const SafetensorsFolder>(open_tensors(dir, spec));
  check_tensors(*folder, dir, spec);
  UntiedModel model{.name = dir};
  model.header.model = untied(spec);
  model.header.config = model_to_toml(spec);
  model.header.tokenizer = read_hugging_face_tokenizer(dir);
  model.header.hf_files = read_hugging_face_files(dir, model.header.tokenizer);
  model.notes = notes_on(*folder, dir);
  model.parameters = [=](const ParameterSpec& parameter) {
    const ForeignTensor from = hf_tensor(spec, parameter);
    const at::Tensor theirs = folder->read(from.name);
    return take_part(from, finite(theirs, folder->file_of(from.name), from.name), spec);
  };
  return model;
}

UntiedModel open_checkpoint(const std::string& file, OwnTerms own) {
  const auto reader = std::make_shared<const CheckpointReader>(file);
  const CheckpointHeader& header = reader->header();
  const SharingMap map = header.model.sharing;
  const std::vector<ParameterSpec> all = parameters(header.model);
  check_parameters(*reader, all);
  UntiedModel model{.name = file, .header = header};
  model.dtype = reader->dataset(parameter_dataset(all.front())).dtype;
  const auto read = [=](const std::string& dataset) {
    return finite(reader->read(dataset), file, dataset);
  };
  model.parameters = [=](const ParameterSpec& parameter) {
    at::Tensor values = read(parameter_dataset(in_map(parameter, map)));
    const at::Tensor term = own_term(*reader, parameter, own);
    return term.defined() ? values.to(at::kDouble) + term : values;
  };
  if (!reader->has(exp_avg_dataset(all.front()))) return model;
  const auto moments = [=](auto dataset_of) {
    return [=](const ParameterSpec& parameter) { return read(dataset_of(in_map(parameter, map))); };
  };
  model.exp_avg = moments(exp_avg_dataset);
  model.exp_avg_sq = moments(exp_avg_sq_dataset);
  return model;
}

UntiedModel with_folded_norms(UntiedModel model) {
  const BlockParts& parts = block_parts(model.header.model.spec);
  if (!norms_fold(parts)) {
    throw UserError(fmt::format(
        "{}: the norms of model.family = \"{}\" have biases and the linears after them have none; "
        "leave --norms folded out, or write --norms per_layer",
        model.name, model.header.model.spec.family));
  }
  const TensorSource plain = model.parameters;
  const int64_t hidden = model.header.model.spec.hidden;
  const auto of_norm = [=](Slot norm, int layer, const std::string& name) {
    return plain({.component = {Kind::slot, norm, layer}, .name = name, .shape = {hidden}})
        .to(at::kDouble);
  };
  model.parameters = [=](const ParameterSpec& parameter) {
    const Component& layer = parameter.component;
    if (layer.kind == Kind::slot && is_layer_norm(layer.slot)) {
      const bool gain = parameter.role == Role::gain;
      return at::full({hidden}, gain ? 1.0 - parts.gain_offset : 0.0, at::kDouble);
    }
    const at::Tensor values = plain(parameter);
    const auto norm = norm_before(parameter);
    if (!norm) return values;
    if (parameter.role == Role::matrix) {
      return values.to(at::kDouble) * (of_norm(*norm, layer.id, "weight") + parts.gain_offset);
    }
    if (parts.norm != NormKind::layer) return values;
    ParameterSpec weight = parameter;
    weight.name.replace(weight.name.rfind('/'), std::string::npos, "/weight");
    weight.shape.push_back(hidden);
    return values.to(at::kDouble) +
           plain(weight).to(at::kDouble).mv(of_norm(*norm, layer.id, "bias"));
  };
  model.exp_avg = model.exp_avg_sq = nullptr;
  return model;
}

}  // namespace rondo
