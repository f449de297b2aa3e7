#include "checkpoint/huggingface/safetensors.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/user_error.h"
#include "checkpoint/format/json_fault.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// The limit of the reference implementation.
constexpr int64_t longest_header = 100'000'000;

struct StoredType {
  int64_t bytes;
  std::optional<at::ScalarType> dtype;  ///< none: known, but never needed here
};

const std::map<std::string, StoredType>& stored_types() {
  static const std::map<std::string, StoredType> types = {{"F64", {8, at::kDouble}},
                                                          {"F32", {4, at::kFloat}},
                                                          {"F16", {2, at::kHalf}},
                                                          {"I64", {8, at::kLong}},
                                                          {"BF16", {2, at::kBFloat16}},
                                                          {"I32", {4, {}}},
                                                          {"I16", {2, {}}},
                                                          {"I8", {1, {}}},
                                                          {"U64", {8, {}}},
                                                          {"U32", {4, {}}},
                                                          {"U16", {2, {}}},
                                                          {"U8", {1, {}}},
                                                          {"BOOL", {1, {}}},
                                                          {"F8_E4M3", {1, {}}},
                                                          {"F8_E5M2", {1, {}}}};
  return types;
}

/// Whether the name is taken, be it by something that cannot be read.
bool is_there(const fs::path& path) {
  std::error_code unreadable;
  return fs::exists(fs::symlink_status(path, unreadable));
}

/// A list of integers that are not negative, or nothing.
std::optional<std::vector<int64_t>> naturals(const Json& entry, const char* key) {
  const auto list = entry.find(key);
  if (list == entry.end() || !list->is_array()) return std::nullopt;
  std::vector<int64_t> values;
  for (const Json& value : *list) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) return std::nullopt;
    values.push_back(value.get<int64_t>());
  }
  return values;
}

/// Product of shape and element size, or nothing when it overflows, be it only without an axis of
/// size 0.
std::optional<int64_t> size_in_bytes(const std::vector<int64_t>& shape, int64_t element) {
  int64_t bytes = element;
  bool empty = false;
  for (int64_t size : shape) {
    empty = empty || size == 0;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) return std::nullopt;
  }
  return empty ? 0 : bytes;
}

SafetensorsFile::Entry parse_entry(const Json& json, const std::string& where) {
  if (!json.is_object()) throw UserError(where + ": its header entry is not an object");
  const auto dtype = json.find("dtype");
  const auto shape = naturals(json, "shape");
  const auto offsets = naturals(json, "data_offsets");
  if (dtype == json.end() || !dtype->is_string() || !shape || !offsets || offsets->size() != 2) {
    throw UserError(where + ": its header entry needs dtype, shape and two data_offsets");
  }
  const auto type = stored_types().find(dtype->get<std::string>());
  if (type == stored_types().end()) {
    throw UserError(fmt::format("{}: dtype {} is unknown", where, dtype->dump()));
  }
  const int64_t begin = offsets->front();
  const int64_t end = offsets->back();
  if (begin > end || size_in_bytes(*shape, type->second.bytes) != end - begin) {
    throw UserError(fmt::format("{}: offsets {} to {} do not fit {} of shape {}", where, begin, end,
                                type->first, json["shape"].dump()));
  }
  return {type->first, *shape, begin, end};
}

}  // namespace

std::string safetensors_type(at::ScalarType dtype) {
  for (const auto& [name, type] : stored_types()) {
    if (type.dtype == dtype) return name;
  }
  throw std::invalid_argument("safetensors do not hold this type");
}

bool SafetensorsFile::Entry::holds_floats() const {
  const auto& type = stored_types().at(dtype).dtype;
  return type && c10::isFloatingType(*type);
}

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), mapping_(path) {
  // Eight bytes are the least that a header length takes.
  if (mapping_.size() < 8) {
    throw UserError(
        fmt::format("{}: not a safetensors file, it has {} bytes", path, mapping_.size()));
  }
  parse_header(static_cast<int64_t>(mapping_.size()));
}

void SafetensorsFile::parse_header(int64_t file_bytes) {
  uint64_t length = 0;
  std::memcpy(&length, mapping_.view().data(), sizeof(length));
  const int64_t body = file_bytes - static_cast<int64_t>(sizeof(length));
  if (length > static_cast<uint64_t>(std::min(body, longest_header))) {
    throw UserError(
        fmt::format("{}: damaged or no safetensors file: a header of {} bytes in a file "
                    "of {}",
                    path_, length, file_bytes));
  }
  const char* header = mapping_.view().data() + sizeof(length);
  data_ = header + length;
  const std::string fault = json_fault({header, static_cast<size_t>(length)});
  if (!fault.empty()) {
    throw UserError(fmt::format(
        "{}: damaged or no safetensors file: the header is not JSON: {}: copy or download it again",
        path_, fault));
  }
  const Json json = Json::parse(header, data_);
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") continue;
    entries_[name] = parse_entry(entry, fmt::format("{}: tensor {}", path_, name));
  }
  check_layout(body - static_cast<int64_t>(length));
}

void SafetensorsFile::check_layout(int64_t data_bytes) const {
  std::vector<const std::map<std::string, Entry>::value_type*> order;
  for (const auto& item : entries_) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  int64_t end = 0;
  for (const auto* item : order) {
    const auto& [name, entry] = *item;
    if (entry.begin != end) {
      throw UserError(
          fmt::format("{} is damaged: tensor {} lies at {} to {}, expected to begin at {}: copy or "
                      "download it again",
                      path_, name, entry.begin, entry.end, end));
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    throw UserError(
        fmt::format("{} is {}: {} bytes of tensors where its header lists {}: copy or "
                    "download it again",
                    path_, data_bytes < end ? "truncated" : "damaged", data_bytes, end));
  }
}

at::Tensor SafetensorsFile::read(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw UserError(fmt::format("{} has no tensor {}", path_, name));
  const Entry& entry = found->second;
  const auto& dtype = stored_types().at(entry.dtype).dtype;
  if (!dtype) {
    throw UserError(fmt::format("{}: tensor {} is {}: expected F32, F64, F16 or BF16", path_, name,
                                entry.dtype));
  }
  at::Tensor values = at::empty(entry.shape, at::dtype(*dtype));
  // The header's length need not align the tensors, so they are copied rather than aliased.
  if (values.numel() > 0) {
    std::memcpy(values.data_ptr(), data_ + entry.begin,
                static_cast<size_t>(entry.end - entry.begin));
  }
  return values;
}

namespace {

constexpr const char* whole_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";

/// What the folder holds where there are no tensors, and what can be done with it.
std::string what_instead(const fs::path& dir) {
  std::string other;
  std::string pickled;
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, unreadable)) {
    const std::string name = entry.path().filename().string();
    const std::string type = entry.path().extension().string();
    if (name == "adapter_model.safetensors") {
      return "it holds a PEFT adapter: merge that into its model first (merge_and_unload)";
    }
    if (type == ".safetensors") other = std::max(other, name);
    if (type == ".bin" || type == ".pt" || type == ".pth") pickled = std::max(pickled, name);
  }
  if (!other.empty()) return "it holds " + other + ": call that " + whole_file + " if it is all";
  if (!pickled.empty()) {
    return "save the model of " + pickled + " again with safe_serialization=True";
  }
  return "copy or download it too";
}

/// "module._orig_mod.model.norm.weight" → "model.norm.weight"
std::string without_wrappers(const std::string& name) {
  constexpr std::array<std::string_view, 4> wrappers = {
      "_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"};
  std::string plain;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = std::string_view(name).substr(begin, end - begin);
    if (std::find(wrappers.begin(), wrappers.end(), part) == wrappers.end()) {
      if (begin > 0 && !plain.empty()) plain += '.';
      plain += part;
    }
    begin = end + 1;
  }
  return plain;
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const std::string& dir) : dir_(dir) {
  const fs::path index = fs::path(dir) / index_file;
  has_index_ = is_there(index);
  if (is_there(fs::path(dir) / whole_file)) {
    passes_index_over_ = std::exchange(has_index_, false);
    const SafetensorsFile& file =
        files_.emplace(whole_file, (fs::path(dir) / whole_file).string()).first->second;
    for (const auto& [name, entry] : file.entries()) add(name, whole_file);
  } else if (has_index_) {
    open_shards(index.string());
  } else {
    throw UserError(fmt::format("{} has neither {} nor {}: {}", dir, whole_file, index_file,
                                what_instead(dir)));
  }
}

void SafetensorsFolder::add(const std::string& stored, const std::string& file) {
  const auto [place, is_new] = place_of_.try_emplace(without_wrappers(stored), Place{file, stored});
  if (is_new) return;
  throw UserError(fmt::format("{} has tensor {} twice, as {} and as {}: delete one", dir_,
                              place->first, place->second.stored, stored));
}

void SafetensorsFolder::open_shards(const std::string& index) {
  const Json json = Json::parse(read_json_object(index));
  if (!json.contains("weight_map") || !json["weight_map"].is_object()) {
    throw UserError(
        fmt::format("{}: it has no JSON object weight_map: copy or download it again", index));
  }
  for (const auto& [name, value] : json["weight_map"].items()) {
    const std::string shard = value.is_string() ? value.get<std::string>() : "";
    if (shard.empty() || fs::path(shard).filename() != fs::path(shard)) {
      throw UserError(fmt::format("{}: tensor {} is in {}: expected a file of this folder", index,
                                  name, value.dump()));
    }
    if (!is_there(fs::path(dir_) / shard)) {
      missing_[without_wrappers(name)] =
          fmt::format("{} names {}, which is not beside it: copy or download it too", index, shard);
      continue;
    }
    const auto file = files_.try_emplace(shard, (fs::path(dir_) / shard).string()).first;
    if (file->second.entries().count(name) > 0) {
      add(name, shard);
    } else {
      missing_[without_wrappers(name)] = fmt::format(
          "{} says that tensor {} is in {}, where it is not: copy or download both again", index,
          name, shard);
    }
  }
}

void SafetensorsFolder::put_below(const std::string& base) {
  std::map<std::string, Place> renamed;
  for (const auto& [name, place] : place_of_) renamed[base + name] = place;
  place_of_ = std::move(renamed);
  std::map<std::string, std::string> missing;
  for (const auto& [name, why] : missing_) missing[base + name] = why;
  missing_ = std::move(missing);
}

void SafetensorsFolder::rename(const std::string& from, const std::string& to) {
  auto node = place_of_.extract(from);
  node.key() = to;
  place_of_.insert(std::move(node));
}

std::string SafetensorsFolder::why_missing(const std::string& name) const {
  const auto known = missing_.find(name);
  if (known != missing_.end()) return known->second;
  return has_index_ ? fmt::format(
                          "{} does not list it: copy or download the index again, or correct "
                          "config.json",
                          index_file)
                    : fmt::format(
                          "save the model again with all of its tensors in {}, or correct "
                          "config.json",
                          whole_file);
}

std::vector<std::string> SafetensorsFolder::missing() const {
  std::vector<std::string> all;
  for (const auto& [name, why] : missing_) all.push_back(name);
  return all;
}

std::string SafetensorsFolder::file_of(const std::string& name) const {
  return (fs::path(dir_) / place_of_.at(name).file).string();
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> all;
  for (const auto& [name, place] : place_of_) all.push_back(name);
  return all;
}

const SafetensorsFile::Entry& SafetensorsFolder::entry(const std::string& name) const {
  const Place& place = place_of_.at(name);
  return files_.at(place.file).entries().at(place.stored);
}

at::Tensor SafetensorsFolder::read(const std::string& name) const {
  const auto found = place_of_.find(name);
  if (found == place_of_.end()) throw UserError(fmt::format("{} has no tensor {}", dir_, name));
  return files_.at(found->second.file).read(found->second.stored);
}

}  // namespace rondo
