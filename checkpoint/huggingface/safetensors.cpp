#include "checkpoint/huggingface/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
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
  std::optional<torch::Dtype> dtype;  ///< none: known, but never needed here
};

const std::map<std::string, StoredType>& stored_types() {
  static const std::map<std::string, StoredType> types = {{"F64", {8, torch::kFloat64}},
                                                          {"F32", {4, torch::kFloat32}},
                                                          {"F16", {2, torch::kFloat16}},
                                                          {"I64", {8, torch::kInt64}},
                                                          {"BF16", {2, torch::kBFloat16}},
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

struct Mapped {
  std::shared_ptr<const char> bytes;
  int64_t size;
};

Mapped map_file(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) throw UserError(fmt::format("{}: {}", path, std::strerror(errno)));
  struct stat status = {};
  fstat(descriptor, &status);
  const auto size = static_cast<size_t>(status.st_size);
  // Eight bytes are the least that a header length takes; nothing smaller is mapped.
  void* address = !S_ISREG(status.st_mode) || size < 8
                      ? MAP_FAILED
                      : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  close(descriptor);
  if (address == MAP_FAILED) {
    throw UserError(fmt::format("{}: not a safetensors file, it has {} bytes", path, size));
  }
  return {{static_cast<const char*>(address),
           [size](const char* mapped) { munmap(const_cast<char*>(mapped), size); }},
          status.st_size};
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

std::string safetensors_type(torch::Dtype dtype) {
  for (const auto& [name, type] : stored_types()) {
    if (type.dtype == dtype) return name;
  }
  throw std::invalid_argument("safetensors do not hold this type");
}

bool SafetensorsFile::Entry::holds_floats() const {
  const auto& type = stored_types().at(dtype).dtype;
  return type && c10::isFloatingType(*type);
}

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path) {
  Mapped mapped = map_file(path);
  mapping_ = std::move(mapped.bytes);
  parse_header(mapped.size);
}

void SafetensorsFile::parse_header(int64_t file_bytes) {
  uint64_t length = 0;
  std::memcpy(&length, mapping_.get(), sizeof(length));
  const int64_t behind = file_bytes - static_cast<int64_t>(sizeof(length));
  if (length > static_cast<uint64_t>(std::min(behind, longest_header))) {
    throw UserError(
        fmt::format("{}: damaged or no safetensors file: a header of {} bytes in a file "
                    "of {}",
                    path_, length, file_bytes));
  }
  const char* header = mapping_.get() + sizeof(length);
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
  check_layout(behind - static_cast<int64_t>(length));
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

torch::Tensor SafetensorsFile::read(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw UserError(fmt::format("{} has no tensor {}", path_, name));
  const Entry& entry = found->second;
  const auto& dtype = stored_types().at(entry.dtype).dtype;
  if (!dtype) {
    throw UserError(fmt::format("{}: tensor {} is {}: expected F32, F64, F16 or BF16", path_, name,
                                entry.dtype));
  }
  torch::Tensor values = torch::empty(entry.shape, torch::dtype(*dtype));
  // The header's length need not align the tensors, so they are copied rather than aliased.
  if (values.numel() > 0) {
    std::memcpy(values.data_ptr(), data_ + entry.begin,
                static_cast<size_t>(entry.end - entry.begin));
  }
  return values;
}

SafetensorsFolder::SafetensorsFolder(const std::string& dir) : dir_(dir) {
  const std::string single = "model.safetensors";
  const fs::path index = fs::path(dir) / "model.safetensors.index.json";
  if (is_there(index)) {
    open_shards(index.string());
    return;
  }
  if (!is_there(fs::path(dir) / single)) {
    throw UserError(
        fmt::format("{} has neither {} nor model.safetensors.index.json: copy or download it "
                    "too, or save the model with safe_serialization=True",
                    dir, single));
  }
  const SafetensorsFile& file =
      files_.emplace(single, (fs::path(dir) / single).string()).first->second;
  for (const auto& [name, entry] : file.entries()) place_of_[name] = {single, name};
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
      throw UserError(fmt::format("{} names {}, which is not beside it: copy or download it too",
                                  index, shard));
    }
    const auto file = files_.try_emplace(shard, (fs::path(dir_) / shard).string()).first;
    if (file->second.entries().count(name) == 0) {
      throw UserError(
          fmt::format("{} says that tensor {} is in {}, where it is not", index, name, shard));
    }
    place_of_[name] = {shard, name};
  }
}

void SafetensorsFolder::put_below(const std::string& base) {
  std::map<std::string, Place> renamed;
  for (const auto& [name, place] : place_of_) renamed[base + name] = place;
  place_of_ = std::move(renamed);
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

torch::Tensor SafetensorsFolder::read(const std::string& name) const {
  const auto found = place_of_.find(name);
  if (found == place_of_.end()) throw UserError(fmt::format("{} has no tensor {}", dir_, name));
  return files_.at(found->second.file).read(found->second.stored);
}

}  // namespace rondo
