#include "checkpoint/format/checkpoint_reader.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "base/near_path.h"
#include "base/user_error.h"
#include "checkpoint/format/checksum.h"
#include "checkpoint/format/model_json.h"
#include "checkpoint/format/seal.h"

namespace rondo {
namespace {

/// Runs `read`; what HDF5 or the system complains about becomes a UserError that names the file.
template <typename Read>
auto naming(const std::string& file, Read read) {
  try {
    return read();
  } catch (const UserError&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw UserError(
        fmt::format("{} is damaged ({}): use the checkpoint before it", file, error.what()));
  }
}

/// A run's folder, or its folder of checkpoints, is taken for one of them.
[[noreturn]] void refuse_folder(const std::string& folder) {
  auto newest = newest_checkpoint(folder);
  if (!newest) newest = newest_checkpoint(folder + "/checkpoints");
  throw UserError(
      fmt::format("{} is a folder: give a checkpoint, {}", folder, newest.value_or("step-*.h5")));
}

/// Sets `sealed`.
Hdf5File open_hdf5(const std::string& file, bool& sealed) {
  std::error_code unreadable;
  if (std::filesystem::is_directory(file, unreadable)) refuse_folder(file);
  if (file.starts_with("hf:")) {
    throw UserError(fmt::format(
        "{}: a checkpoint is wanted here: rondo convert --from {} --to model.h5 makes one", file,
        file));
  }
  if (!std::filesystem::is_regular_file(file, unreadable)) {
    throw UserError(fmt::format("{}: there is no such file{}", file, did_you_mean_path(file)));
  }
  if (!Hdf5File::has_signature(file)) {
    throw UserError(fmt::format("{} is not an HDF5 file: give a checkpoint, step-*.h5", file));
  }
  return naming(file, [&] {
    sealed = check_seal(ByteFile::open_to_read(file));
    return Hdf5File::open(file);
  });
}

[[noreturn]] void refuse_without(const std::string& file, const std::string& attribute) {
  throw UserError(fmt::format("{}: the root attribute '{}' is missing: use another checkpoint",
                              file, attribute));
}

/// Elements that are read at a time.
constexpr int64_t piece = int64_t{1} << 20;

at::ScalarType dtype_of(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::float64:
      return at::kDouble;
    case Hdf5Type::float32:
      return at::kFloat;
    case Hdf5Type::uint8:
      return at::kByte;
  }
  throw std::logic_error("no such type");
}

/// "attention/0/q_proj/weight, attention/0/k_proj/weight and 5 more"
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t shown = 3;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(shown, names.size()));
  const std::string list = fmt::format("{}", fmt::join(names.begin(), end, ", "));
  return names.size() <= shown ? list : fmt::format("{} and {} more", list, names.size() - shown);
}

}  // namespace

CheckpointReader::CheckpointReader(const std::string& file)
    : file_(file), hdf5_(open_hdf5(file, sealed_)) {
  naming(file_, [&] {
    read_header();
    for (const std::string& path : hdf5_.datasets()) datasets_[path] = describe(path);
  });
  if (has(position_dataset)) header_.position = contents(position_dataset);
  read_tokenizer();
  read_hf_files();
}

/// Refuses what another program may have stored in a way that we do not read.
DatasetSpec CheckpointReader::describe(const std::string& path) const {
  const auto is_control = [](unsigned char c) { return c < ' '; };
  if (std::any_of(path.begin(), path.end(), is_control)) {
    throw UserError(file_ + ": the name of a dataset holds control characters: rename it");
  }
  try {
    hdf5_.check_readable(path);
    DatasetSpec spec = {path, hdf5_.shape(path), dtype_of(hdf5_.type(path))};
    const bool is_text =
        path == position_dataset || path == tokenizer_dataset || path.starts_with(hf_files_group);
    if (spec.dtype == at::kByte && !is_text) {
      throw Hdf5Error(path + " holds bytes, expected float32 or float64: store it as one of them");
    }
    if (!spec.shape.empty()) return spec;
    throw Hdf5Error(path + " is a single number, expected at least one axis");
  } catch (const Hdf5Error& error) {
    throw UserError(fmt::format("{}: {}", file_, error.what()));
  }
}

void CheckpointReader::read_header() {
  if (hdf5_.string_attribute("/", "format") != "rondo") {
    throw UserError(fmt::format(
        "{} is not a rondo checkpoint: its root attribute 'format' is not 'rondo'", file_));
  }
  const int64_t version = natural("format_version");
  if (version > checkpoint_format_version) {
    throw NewerFormatError(
        fmt::format("{} has format_version {}, this program reads up to {}: use a newer "
                    "rondo",
                    file_, version, checkpoint_format_version));
  }
  header_.step = natural("step");
  header_.tokens = natural("tokens");
  if (hdf5_.integer_attribute("/", "samples")) header_.samples = natural("samples");
  header_.validation_loss = hdf5_.real_attribute("/", "validation_loss");
  header_.config = text("config");
  header_.model.relaxation_rank =
      hdf5_.integer_attribute("/", "relaxation") ? natural("relaxation") : 0;
  const std::string model = text("model");
  const std::string sharing = text("sharing");
  try {
    header_.model.spec = model_from_json(model);
    header_.model.sharing = sharing_from_json(sharing);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", file_, error.what()));
  }
  if (header_.model.sharing.depth() != header_.model.spec.depth) {
    throw UserError(fmt::format("{}: sharing has {} layers, model.depth is {}", file_,
                                header_.model.sharing.depth(), header_.model.spec.depth));
  }
}

void CheckpointReader::read_tokenizer() {
  const auto kind = naming(file_, [&] { return hdf5_.string_attribute("/", "tokenizer"); });
  if (!kind) return;
  header_.tokenizer = StoredTokenizer{*kind, "", {}};
  std::vector<int64_t>& ends = header_.tokenizer->ends;
  if (hdf5_.integer_attribute("/", "end_token")) ends = {natural("end_token")};
  const auto list = naming(file_, [&] { return hdf5_.string_attribute("/", "end_tokens"); });
  try {
    if (list) ends = tokens_from_json(*list);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: end_tokens: {}", file_, error.what()));
  }
  if (has(tokenizer_dataset)) header_.tokenizer->contents = contents(tokenizer_dataset);
}

void CheckpointReader::read_hf_files() {
  const std::string group = hf_files_group;
  for (auto entry = datasets_.lower_bound(group);
       entry != datasets_.end() && entry->first.starts_with(group); ++entry) {
    header_.hf_files[entry->first.substr(group.size())] = contents(entry->first);
  }
}

std::string CheckpointReader::contents(const std::string& path) const {
  const at::Tensor bytes = read(path);
  return {static_cast<const char*>(bytes.data_ptr()), static_cast<size_t>(bytes.nbytes())};
}

std::string CheckpointReader::text(const std::string& name) const {
  const auto value = hdf5_.string_attribute("/", name);
  if (!value) refuse_without(file_, name);
  return *value;
}

int64_t CheckpointReader::number(const std::string& name) const {
  const auto value = hdf5_.integer_attribute("/", name);
  if (!value) refuse_without(file_, name);
  return *value;
}

int64_t CheckpointReader::natural(const std::string& name) const {
  const int64_t value = number(name);
  if (value >= 0) return value;
  throw UserError(
      fmt::format("{}: the root attribute '{}' is {}, expected at least 0: use another "
                  "checkpoint",
                  file_, name, value));
}

const DatasetSpec& CheckpointReader::dataset(const std::string& path) const {
  const auto found = datasets_.find(path);
  if (found == datasets_.end()) {
    throw UserError(fmt::format("{} has no dataset {}", file_, path));
  }
  return found->second;
}

/// In pieces of the size of a processor's cache, where the checksum finds them.
uint64_t CheckpointReader::read_range(const std::string& path, int64_t begin, at::Tensor values,
                                      int64_t from, int64_t to) const {
  const DatasetSpec& spec = dataset(path);
  const bool as_stored =
      values.scalar_type() == spec.dtype && values.device().is_cpu() && values.is_contiguous();
  const Hdf5Type type = naming(file_, [&] { return hdf5_.type(path); });
  at::Tensor block;
  uint64_t sum = 0;
  for (int64_t at = 0; at < values.numel(); at += piece) {
    const at::Tensor target = values.narrow(0, at, std::min(piece, values.numel() - at));
    if (!as_stored && !block.defined()) {
      block = at::empty({target.numel()}, at::dtype(spec.dtype));
    }
    const at::Tensor stored = as_stored ? target : block.narrow(0, 0, target.numel());
    const int64_t first = begin + at;
    naming(file_, [&] { hdf5_.read(path, first, stored.numel(), type, stored.data_ptr()); });
    if (!as_stored) target.copy_(stored);
    const int64_t counted = std::clamp(from, first, first + stored.numel());
    const int64_t end = std::clamp(to, counted, first + stored.numel());
    const auto* bytes = static_cast<const char*>(stored.data_ptr());
    sum += checksum(bytes + (counted - first) * stored.element_size(), stored.element_size(),
                    counted, end - counted);
  }
  return sum;
}

at::Tensor CheckpointReader::read(const std::string& path) const {
  const DatasetSpec& spec = dataset(path);
  const at::Tensor values = at::empty({spec.count()}, at::dtype(spec.dtype));
  compare_checksum(path, read_range(path, 0, values, 0, spec.count()));
  return values.view(spec.shape);
}

void CheckpointReader::verify(const std::string& below, Share share) const {
  std::vector<DatasetSpec> list;
  for (const auto& [path, spec] : datasets_) {
    if (path.starts_with(below)) list.push_back(spec);
  }
  const auto elements = [](int64_t sum, const DatasetSpec& spec) { return sum + spec.count(); };
  const int64_t all = std::accumulate(list.begin(), list.end(), int64_t{0}, elements);
  std::map<at::ScalarType, at::Tensor> blocks;  // memory, used again and again
  int64_t before = 0;
  for (const DatasetSpec& spec : list) {
    const int64_t middle = before + spec.count() / 2;
    before += spec.count();
    if (all > 0 && middle * share.parts / all != share.part) continue;
    compare_checksum(spec.path, checksum_of(spec, blocks[spec.dtype]));
  }
}

/// Read through `block`.
uint64_t CheckpointReader::checksum_of(const DatasetSpec& spec, at::Tensor& block) const {
  if (!block.defined()) block = at::empty({piece}, at::dtype(spec.dtype));
  uint64_t sum = 0;
  for (int64_t begin = 0; begin < spec.count(); begin += piece) {
    const at::Tensor values = block.narrow(0, 0, std::min(piece, spec.count() - begin));
    sum += read_range(spec.path, begin, values, begin, begin + values.numel());
  }
  return sum;
}

void CheckpointReader::compare_checksum(const std::string& path, uint64_t found) const {
  const auto stored = naming(file_, [&] { return hdf5_.integer_attribute(path, "checksum"); });
  if (stored && static_cast<uint64_t>(*stored) != found) {
    throw UserError(fmt::format(
        "{}: {} does not match its checksum: use the checkpoint before it, or make it again", file_,
        path));
  }
}

namespace {

/// The datasets below `tree` are exactly those of the parameters.
void check_tree(const CheckpointReader& reader, const std::vector<ParameterSpec>& parameters,
                const std::string& tree) {
  std::set<std::string> extra;
  for (const auto& [path, spec] : reader.datasets()) {
    if (path.starts_with(tree)) extra.insert(path);
  }
  const bool weights_only = extra.empty() && tree != all_parameters;
  if (weights_only) return;
  std::vector<std::string> missing;
  for (const ParameterSpec& parameter : parameters) {
    const std::string path = tree + parameter.path();
    if (extra.erase(path) == 0) {
      missing.push_back(fmt::format("{} of shape {}", path, parameter.shape));
    } else if (reader.dataset(path).shape != parameter.shape) {
      throw UserError(fmt::format("{}: {} has shape {}, the model needs {}: use another checkpoint",
                                  reader.file(), path, reader.dataset(path).shape,
                                  parameter.shape));
    }
  }
  if (!missing.empty()) {
    throw UserError(fmt::format("{} lacks {}, which the model needs: use another checkpoint",
                                reader.file(), some_of(missing)));
  }
  if (!extra.empty()) {
    throw UserError(
        fmt::format("{} has {}, which the model does not use: delete it, or use another "
                    "checkpoint",
                    reader.file(), some_of({extra.begin(), extra.end()})));
  }
}

}  // namespace

void check_parameters(const CheckpointReader& reader,
                      const std::vector<ParameterSpec>& parameters) {
  for (const char* tree : {all_parameters, "/optimizer/exp_avg/", "/optimizer/exp_avg_sq/"}) {
    check_tree(reader, parameters, tree);
  }
}

}  // namespace rondo
