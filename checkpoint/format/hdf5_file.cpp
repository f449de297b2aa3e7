#include "checkpoint/format/hdf5_file.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <utility>

#include "checkpoint/format/hdf5_error.h"

namespace rondo {
namespace {

/// HDF5 returns a negative number from every call that fails.
template <typename Result>
Result checked_hdf5(Result result, const std::string& doing) {
  if (result < 0) throw Hdf5Error(fmt::format("{}: {}", doing, last_hdf5_error()));
  return result;
}

/// Before anything else of HDF5. It prints its error stack by default; ours travels in exceptions.
/// And at the end of the process it would close files again whose closing failed, and crash.
void prepare() {
  H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

hid_t memory_type(Hdf5Type type) {
  return type == Hdf5Type::float64   ? H5T_NATIVE_DOUBLE
         : type == Hdf5Type::float32 ? H5T_NATIVE_FLOAT
                                     : H5T_NATIVE_UINT8;
}

hid_t stored_type(Hdf5Type type) {
  return type == Hdf5Type::float64   ? H5T_IEEE_F64LE
         : type == Hdf5Type::float32 ? H5T_IEEE_F32LE
                                     : H5T_STD_U8LE;
}

std::vector<hsize_t> sizes(const std::vector<int64_t>& values) {
  return {values.begin(), values.end()};
}

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);

  Hdf5Handle(hid_t id, Close close, const std::string& doing)
      : id_(checked_hdf5(id, doing)), close_(close) {}
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  Hdf5Handle(const Hdf5Handle&) = delete;
  Hdf5Handle& operator=(const Hdf5Handle&) = delete;

  operator hid_t() const { return id_; }
  herr_t close() { return close_(std::exchange(id_, -1)); }

 private:
  hid_t id_;
  Close close_;
};

/// An open dataset and its dataspace.
class Hdf5Dataset {
 public:
  Hdf5Dataset(hid_t file, const std::string& path, hid_t access = H5P_DEFAULT)
      : name(path),
        id(H5Dopen2(file, path.c_str(), access), H5Dclose, path),
        space(H5Dget_space(id), H5Sclose, path),
        made(H5Dget_create_plist(id), H5Pclose, path) {}

  std::vector<int64_t> shape() const {
    const auto axes = static_cast<size_t>(checked_hdf5(H5Sget_simple_extent_ndims(space), name));
    std::vector<hsize_t> extent(axes);
    checked_hdf5(H5Sget_simple_extent_dims(space, extent.data(), nullptr), name);
    return {extent.begin(), extent.end()};
  }

  bool is_chunked() const { return H5Pget_layout(made) == H5D_CHUNKED; }

  /// Of one chunk, by axis.
  std::vector<int64_t> chunk() const {
    std::vector<hsize_t> extent(shape().size());
    checked_hdf5(H5Pget_chunk(made, static_cast<int>(extent.size()), extent.data()), name);
    return {extent.begin(), extent.end()};
  }

  std::string name;
  Hdf5Handle id;
  Hdf5Handle space;
  Hdf5Handle made;  ///< how it was created
};

namespace {

int64_t bytes(Hdf5Type type) {
  return type == Hdf5Type::float64 ? 8 : type == Hdf5Type::float32 ? 4 : 1;
}

/// Creates a scalar attribute and writes it.
void put_attribute(hid_t file, const std::string& object, const std::string& name, hid_t type,
                   const void* value) {
  const std::string doing = "attribute " + name;
  const Hdf5Handle scalar(H5Screate(H5S_SCALAR), H5Sclose, doing);
  const Hdf5Handle attribute(H5Acreate_by_name(file, object.c_str(), name.c_str(), type, scalar,
                                               H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             H5Aclose, doing);
  checked_hdf5(H5Awrite(attribute, type, value), doing);
}

/// The open attribute, or null when the object has none of that name.
std::unique_ptr<Hdf5Handle> find_attribute(hid_t file, const std::string& object,
                                           const std::string& name) {
  const std::string doing = "attribute " + name;
  if (checked_hdf5(H5Aexists_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT), doing) ==
      0) {
    return nullptr;
  }
  auto attribute = std::make_unique<Hdf5Handle>(
      H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
      doing);
  const Hdf5Handle space(H5Aget_space(*attribute), H5Sclose, doing);
  if (H5Sget_simple_extent_npoints(space) != 1) throw Hdf5Error(doing + ": not one value");
  return attribute;
}

template <typename Number>
std::optional<Number> number_attribute(hid_t file, const std::string& object,
                                       const std::string& name) {
  constexpr bool whole = std::is_integral_v<Number>;
  const auto attribute = find_attribute(file, object, name);
  if (!attribute) return std::nullopt;
  const Hdf5Handle type(H5Aget_type(*attribute), H5Tclose, name);
  if (H5Tget_class(type) != (whole ? H5T_INTEGER : H5T_FLOAT)) {
    throw Hdf5Error(fmt::format("attribute {}: not {}", name, whole ? "an integer" : "a real"));
  }
  Number value = 0;
  checked_hdf5(H5Aread(*attribute, whole ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, &value), name);
  return value;
}

/// Throws for chunks that are missing, or behind a filter that is.
void check_chunks(const Hdf5Dataset& dataset) {
  const int filters = checked_hdf5(H5Pget_nfilters(dataset.made), dataset.name);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0;
    size_t values = 0;
    std::array<char, 64> name{};
    const H5Z_filter_t filter =
        checked_hdf5(H5Pget_filter2(dataset.made, static_cast<unsigned>(i), &flags, &values,
                                    nullptr, name.size(), name.data(), nullptr),
                     dataset.name);
    if (checked_hdf5(H5Zfilter_avail(filter), dataset.name) > 0) continue;
    throw Hdf5Error(
        fmt::format("{} is compressed by {} (filter {}), which this HDF5 does not "
                    "have: store it with gzip, or without a filter",
                    dataset.name, name.data(), static_cast<int>(filter)));
  }
  const std::vector<int64_t> shape = dataset.shape();
  const std::vector<int64_t> chunk = dataset.chunk();
  hsize_t expected = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    expected *= static_cast<hsize_t>((shape[axis] + chunk[axis] - 1) / chunk[axis]);
  }
  hsize_t found = 0;
  checked_hdf5(H5Dget_num_chunks(dataset.id, dataset.space, &found), dataset.name);
  if (found == expected) return;
  throw Hdf5Error(
      fmt::format("{} holds values in {} of its {} chunks", dataset.name, found, expected));
}

/// With room for the chunks that flat ranges meet again and again: those of one row of chunks.
std::unique_ptr<Hdf5Dataset> open_to_read(hid_t file, const std::string& path) {
  auto dataset = std::make_unique<Hdf5Dataset>(file, path);
  if (!dataset->is_chunked() || dataset->shape().empty()) return dataset;
  constexpr size_t slots = 12421;  // a prime, as HDF5 asks for
  constexpr double evict_read_first = 1.0;
  std::vector<int64_t> row = dataset->shape();
  row[0] = dataset->chunk()[0];
  const Hdf5Handle stored(H5Dget_type(dataset->id), H5Tclose, path);
  const size_t room = static_cast<size_t>(product(row)) * H5Tget_size(stored);
  const Hdf5Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose, path);
  checked_hdf5(H5Pset_chunk_cache(access, slots, room, evict_read_first), path);
  dataset = nullptr;  // as long as it is open its own cache stands
  return std::make_unique<Hdf5Dataset>(file, path, access);
}

}  // namespace

Hdf5File::Hdf5File(std::unique_ptr<Hdf5Handle> file) : file_(std::move(file)) {}
Hdf5File::Hdf5File(Hdf5File&&) noexcept = default;
Hdf5File& Hdf5File::operator=(Hdf5File&&) noexcept = default;
Hdf5File::~Hdf5File() = default;

namespace {

/// Files are opened without HDF5's own lock. Another process may hold it, or the file system have
/// no locks, and an intact file would count as damaged; runs have locks of their own.
std::unique_ptr<Hdf5Handle> access_without_lock() {
  auto access = std::make_unique<Hdf5Handle>(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "open");
  checked_hdf5(H5Pset_file_locking(*access, /*use_file_locking=*/0, /*ignore_when_disabled=*/1),
               "open");
  return access;
}

}  // namespace

bool Hdf5File::has_signature(const std::string& path) {
  prepare();
  return H5Fis_hdf5(path.c_str()) > 0;
}

Hdf5File Hdf5File::create(const std::string& path) {
  prepare();
  return Hdf5File(std::make_unique<Hdf5Handle>(
      H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, *access_without_lock()), H5Fclose,
      "create"));
}

Hdf5File Hdf5File::open(const std::string& path) {
  prepare();
  return Hdf5File(std::make_unique<Hdf5Handle>(
      H5Fopen(path.c_str(), H5F_ACC_RDONLY, *access_without_lock()), H5Fclose, "open"));
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name,
                               const std::string& value) {
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose, name);
  checked_hdf5(H5Tset_size(type, H5T_VARIABLE), name);
  checked_hdf5(H5Tset_cset(type, H5T_CSET_UTF8), name);
  const char* text = value.c_str();
  put_attribute(*file_, object, name, type, &text);
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, int64_t value) {
  put_attribute(*file_, object, name, H5T_NATIVE_INT64, &value);
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, double value) {
  put_attribute(*file_, object, name, H5T_NATIVE_DOUBLE, &value);
}

std::optional<std::string> Hdf5File::string_attribute(const std::string& object,
                                                      const std::string& name) const {
  const auto attribute = find_attribute(*file_, object, name);
  if (!attribute) return std::nullopt;
  const Hdf5Handle type(H5Aget_type(*attribute), H5Tclose, name);
  if (H5Tget_class(type) != H5T_STRING) throw Hdf5Error("attribute " + name + ": not a string");
  if (checked_hdf5(H5Tis_variable_str(type), name) == 0) {
    std::string text(H5Tget_size(type), '\0');
    checked_hdf5(H5Aread(*attribute, type, text.data()), name);
    return text.substr(0, text.find('\0'));
  }
  char* text = nullptr;
  checked_hdf5(H5Aread(*attribute, type, &text), name);
  const std::unique_ptr<char, herr_t (*)(void*)> owner(text, H5free_memory);
  return std::string(text == nullptr ? "" : text);
}

std::optional<int64_t> Hdf5File::integer_attribute(const std::string& object,
                                                   const std::string& name) const {
  return number_attribute<int64_t>(*file_, object, name);
}

std::optional<double> Hdf5File::real_attribute(const std::string& object,
                                               const std::string& name) const {
  return number_attribute<double>(*file_, object, name);
}

void Hdf5File::create_dataset(const std::string& path, const std::vector<int64_t>& shape,
                              Hdf5Type type) {
  const std::vector<hsize_t> extent = sizes(shape);
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
                         H5Sclose, path);
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, path);
  checked_hdf5(H5Pset_create_intermediate_group(links, 1), path);
  const Hdf5Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path);
  checked_hdf5(H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY), path);
  checked_hdf5(H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER), path);
  const Hdf5Handle dataset(
      H5Dcreate2(*file_, path.c_str(), stored_type(type), space, links, layout, H5P_DEFAULT),
      H5Dclose, path);
}

int64_t Hdf5File::offset(const std::string& path) const {
  const Hdf5Handle dataset(H5Dopen2(*file_, path.c_str(), H5P_DEFAULT), H5Dclose, path);
  const haddr_t offset = H5Dget_offset(dataset);
  if (offset == HADDR_UNDEF) throw Hdf5Error(path + " is not in one piece");
  return static_cast<int64_t>(offset);
}

void Hdf5File::check_readable(const std::string& path) const {
  const Hdf5Dataset dataset(*file_, path);
  const bool elsewhere =
      H5Pget_layout(dataset.made) == H5D_VIRTUAL || H5Pget_external_count(dataset.made) > 0;
  if (elsewhere) {
    throw Hdf5Error(path + " keeps its values in another file: copy them into this one");
  }
  if (dataset.is_chunked()) check_chunks(dataset);
  H5D_space_status_t status = H5D_SPACE_STATUS_NOT_ALLOCATED;
  checked_hdf5(H5Dget_space_status(dataset.id, &status), path);
  if (status == H5D_SPACE_STATUS_NOT_ALLOCATED) throw Hdf5Error(path + " holds no values");
}

std::vector<std::string> Hdf5File::datasets() const {
  struct Found {
    std::vector<std::string> paths;
    bool too_deep = false;
  } found;
  checked_hdf5(H5Ovisit2(
                   *file_, H5_INDEX_NAME, H5_ITER_INC,
                   [](hid_t, const char* name, const H5O_info_t* info, void* to) -> herr_t {
                     constexpr std::ptrdiff_t deepest =
                         32;  // HDF5 takes quadratic time over the depth
                     auto& all = *static_cast<Found*>(to);
                     const std::string path = std::string("/") + name;
                     all.too_deep = std::count(path.begin(), path.end(), '/') > deepest;
                     if (info->type == H5O_TYPE_DATASET) all.paths.push_back(path);
                     return all.too_deep ? 1 : 0;
                   },
                   &found, H5O_INFO_BASIC),
               "list");
  if (found.too_deep) throw Hdf5Error("groups are nested deeper than any of ours");
  std::sort(found.paths.begin(), found.paths.end());
  return found.paths;
}

std::vector<int64_t> Hdf5File::shape(const std::string& path) const {
  return Hdf5Dataset(*file_, path).shape();
}

Hdf5Type Hdf5File::type(const std::string& path) const {
  const Hdf5Dataset dataset(*file_, path);
  const Hdf5Handle stored(H5Dget_type(dataset.id), H5Tclose, path);
  const size_t bytes = H5Tget_size(stored);
  const bool floats = H5Tget_class(stored) == H5T_FLOAT;
  if (H5Tequal(stored, H5T_STD_U8LE) > 0) return Hdf5Type::uint8;
  if (!floats || (bytes != 4 && bytes != 8)) {
    throw Hdf5Error(
        fmt::format("{} holds {}-byte {}, expected float32 or float64: store it as one of them",
                    path, bytes, floats ? "floats" : "values that are no floats"));
  }
  return bytes == 8 ? Hdf5Type::float64 : Hdf5Type::float32;
}

void Hdf5File::read(const std::string& path, int64_t begin, int64_t count, Hdf5Type type,
                    void* values) const {
  if (!open_ || open_->name != path) open_ = open_to_read(*file_, path);
  const Hdf5Dataset& dataset = *open_;
  const std::vector<int64_t> shape = dataset.shape();
  const int64_t size = product(shape);
  if (shape.empty() || begin < 0 || count < 0 || begin > size - count) {
    throw Hdf5Error(fmt::format("{}: {} elements from {} of {}", path, count, begin, size));
  }
  auto* to = static_cast<char*>(values);
  for (const Hyperslab& box : hyperslabs(shape, begin, count)) {
    const int64_t elements = product(box.count);
    const auto length = static_cast<hsize_t>(elements);
    const Hdf5Handle memory(H5Screate_simple(1, &length, nullptr), H5Sclose, path);
    checked_hdf5(H5Sselect_hyperslab(dataset.space, H5S_SELECT_SET, sizes(box.start).data(),
                                     nullptr, sizes(box.count).data(), nullptr),
                 path);
    checked_hdf5(H5Dread(dataset.id, memory_type(type), memory, dataset.space, H5P_DEFAULT, to),
                 path);
    to += elements * bytes(type);
  }
}

void Hdf5File::close() {
  open_ = nullptr;
  checked_hdf5(file_->close(), "close");
}

}  // namespace rondo
