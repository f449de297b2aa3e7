#include "tests/checkpoint/foreign_hdf5.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <filesystem>
#include <numeric>

#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

using Dims = std::vector<hsize_t>;

constexpr const char* embedding = "/parameters/embedding/weight";  // [16, 8] float32
constexpr hsize_t values_in_embedding = 128;

Damage foreign(const std::string& file, const std::string& what,
               const std::function<void(hid_t file, const std::string& folder)>& change) {
  return {fmt::format("{}: {}", file, what), [=](const std::string& folder) {
            const std::string path = fmt::format("{}/{}", folder, file);
            const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
            H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);  // whatever `change` leaves open
            const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDWR, access);
            change(id, folder);
            H5Fclose(id);
          }};
}

void put_attribute(hid_t file, const char* name, hid_t type, const Dims& dims, const void* value) {
  if (H5Aexists(file, name) > 0) H5Adelete(file, name);
  const hid_t space = dims.empty()
                          ? H5Screate(H5S_SCALAR)
                          : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
  const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (value != nullptr) H5Awrite(attribute, type, value);
  H5Aclose(attribute);
  H5Sclose(space);
}

/// `size` bytes, or of variable length when it is H5T_VARIABLE.
hid_t string_type(size_t size) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, size);
  return type;
}

void put_text(hid_t file, const char* name, const std::string& text) {
  const char* value = text.c_str();
  put_attribute(file, name, string_type(H5T_VARIABLE), {}, &value);
}

/// How the embedding is stored instead.
struct Storage {
  hid_t type = H5T_IEEE_F32LE;
  Dims dims = {16, 8};
  hid_t properties = H5P_DEFAULT;
  bool is_written = true;
};

/// Puts other storage in the embedding's place, with the values that `example_values` gives it.
void put_embedding(hid_t file, const Storage& storage) {
  std::vector<float> values(values_in_embedding);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 1024;
  H5Ldelete(file, embedding, H5P_DEFAULT);
  const auto& dims = storage.dims;
  const hid_t space = dims.empty()
                          ? H5Screate(H5S_SCALAR)
                          : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
  const hid_t dataset = H5Dcreate2(file, embedding, storage.type, space, H5P_DEFAULT,
                                   storage.properties, H5P_DEFAULT);
  if (storage.is_written)
    H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(dataset);
  H5Sclose(space);
}

hid_t chunks(const Dims& dims) {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(properties, static_cast<int>(dims.size()), dims.data());
  return properties;
}

hid_t compressed() {
  const hid_t properties = chunks({4, 8});
  H5Pset_deflate(properties, 6);
  return properties;
}

hid_t compact() {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_layout(properties, H5D_COMPACT);
  return properties;
}

/// The values lie in another file, which is there and long enough.
hid_t external(const std::string& folder) {
  const std::string name = folder + "/values.raw";
  write_file(name, std::string(4 * values_in_embedding, '\1'));
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(properties, name.c_str(), 0, H5F_UNLIMITED);
  return properties;
}

/// The values are those of another dataset.
hid_t virtual_dataset(const std::string& folder) {
  const Dims dims = {16, 8};
  const hid_t space = H5Screate_simple(2, dims.data(), nullptr);
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_virtual(properties, space, (folder + "/other.h5").c_str(), embedding, space);
  return properties;
}

hid_t half() {
  const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_fields(type, 15, 10, 5, 0, 10);
  H5Tset_size(type, 2);
  H5Tset_ebias(type, 15);
  return type;
}

hid_t compound() {
  const hid_t type = H5Tcreate(H5T_COMPOUND, 8);
  H5Tinsert(type, "real", 0, H5T_IEEE_F32LE);
  H5Tinsert(type, "imaginary", 4, H5T_IEEE_F32LE);
  return type;
}

void put_groups(hid_t file, int depth) {
  hid_t inner = H5Gopen2(file, "/parameters", H5P_DEFAULT);
  for (int i = 0; i < depth; ++i) {
    const hid_t next = H5Gcreate2(inner, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(inner);
    inner = next;
  }
  H5Gclose(inner);
}

void put_copy(hid_t file, const char* path) {
  H5Ocopy(file, embedding, file, path, H5P_DEFAULT, H5P_DEFAULT);
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

std::vector<Damage> foreign_attributes(const std::string& file) {
  std::vector<Damage> damages;
  const auto add = [&](const std::string& what, const std::function<void(hid_t)>& change) {
    damages.push_back(foreign(file, what, [=](hid_t id, const std::string&) { change(id); }));
  };
  const char* texts[] = {"format", "config", "model", "sharing"};
  const char* numbers[] = {"format_version", "step", "tokens", "relaxation"};
  const auto for_each = [&](const char* what, const auto& names, auto change) {
    for (const char* name : names) {
      add(fmt::format("{} {}", name, what), [=](hid_t id) { change(id, name); });
    }
  };
  const auto remove = [](hid_t id, const char* name) { H5Adelete(id, name); };
  const auto put_number = [](hid_t id, const char* name) {
    const int64_t one = 1;
    put_attribute(id, name, H5T_NATIVE_INT64, {}, &one);
  };
  const auto put_unwritten = [](hid_t id, const char* name) {
    put_attribute(id, name, string_type(H5T_VARIABLE), {}, nullptr);
  };
  const auto put_some_text = [](hid_t id, const char* name) { put_text(id, name, "100"); };
  const auto put_list = [](hid_t id, const char* name) {
    const std::vector<int64_t> list(3, 1);
    put_attribute(id, name, H5T_NATIVE_INT64, {3}, list.data());
  };
  const auto put_negative = [](hid_t id, const char* name) {
    const int64_t value = -7;
    put_attribute(id, name, H5T_NATIVE_INT64, {}, &value);
  };
  const auto put_real = [](hid_t id, const char* name) {
    const double value = 100.0;
    put_attribute(id, name, H5T_NATIVE_DOUBLE, {}, &value);
  };
  for_each("is missing", texts, remove);
  for_each("is missing", numbers, remove);
  for_each("is a number", texts, put_number);
  for_each("was never written", std::vector{"format", "model", "sharing"}, put_unwritten);
  for_each("is a text", numbers, put_some_text);
  for_each("is a list", numbers, put_list);
  for_each("is a list of numbers", texts, put_list);
  for_each("is negative", numbers, put_negative);
  for_each("is a float", numbers, put_real);
  const std::vector<std::string> lies = {
      "{",
      "{}",
      "\xff\xfe",
      "null",
      nested(100'000),
      "{\"hidden\": " + nested(100'000) + "}",
      R"({"depth": 2147483647})",
      R"({"hidden": 4611686018427387904, "vocab": 4611686018427387904})",
      R"({"attention": [1000000000000], "feed_forward": [0.5]})"};
  for (const char* name : {"format", "model", "sharing"}) {
    for (const std::string& text : lies) {
      add(fmt::format("{} is {}", name, text.substr(0, 60)),
          [=](hid_t id) { put_text(id, name, text); });
    }
  }
  add("format has no terminator",
      [](hid_t id) { put_attribute(id, "format", string_type(2), {}, "rondo"); });
  return damages;
}

std::vector<Damage> foreign_datasets(const std::string& file) {
  using Folder = const std::string&;
  const auto stored = [&](const char* what, const std::function<Storage(Folder)>& storage) {
    return foreign(file, fmt::format("{} is {}", embedding, what),
                   [=](hid_t id, Folder folder) { put_embedding(id, storage(folder)); });
  };
  const auto linked = [&](const char* what, const std::function<void(hid_t, Folder)>& link) {
    return foreign(file, fmt::format("{} is {}", embedding, what), [=](hid_t id, Folder folder) {
      H5Ldelete(id, embedding, H5P_DEFAULT);
      link(id, folder);
    });
  };
  const Dims huge = {hsize_t{1} << 40, 1 << 10};
  return {
      stored("as it was", [](Folder) { return Storage{}; }),
      stored("big-endian", [](Folder) { return Storage{.type = H5T_IEEE_F32BE}; }),
      stored("of integers", [](Folder) { return Storage{.type = H5T_STD_I32LE}; }),
      stored("of half precision", [](Folder) { return Storage{.type = half()}; }),
      stored("of pairs", [](Folder) { return Storage{.type = compound(), .is_written = false}; }),
      stored("of texts",
             [](Folder) { return Storage{.type = string_type(4), .is_written = false}; }),
      stored("of lists",
             [](Folder) {
               return Storage{.type = H5Tvlen_create(H5T_IEEE_F32LE), .is_written = false};
             }),
      stored("a single number", [](Folder) { return Storage{.dims = {}}; }),
      stored("flat", [](Folder) { return Storage{.dims = {values_in_embedding}}; }),
      stored("of another shape",
             [](Folder) {
               return Storage{.dims = {8, 16}};
             }),
      stored("without rows",
             [](Folder) {
               return Storage{.dims = {0, 8}, .is_written = false};
             }),
      stored("never written", [](Folder) { return Storage{.is_written = false}; }),
      stored("huge", [=](Folder) { return Storage{.dims = huge, .is_written = false}; }),
      stored("chunked",
             [](Folder) {
               return Storage{.properties = chunks({4, 8})};
             }),
      stored("huge and chunked",
             [=](Folder) {
               return Storage{.dims = huge, .properties = chunks({4, 8}), .is_written = false};
             }),
      stored("compressed", [](Folder) { return Storage{.properties = compressed()}; }),
      stored("compact", [](Folder) { return Storage{.properties = compact()}; }),
      stored("in another file", [](Folder f) { return Storage{.properties = external(f)}; }),
      stored(
          "virtual",
          [](Folder f) { return Storage{.properties = virtual_dataset(f), .is_written = false}; }),
      linked("missing", [](hid_t, Folder) {}),
      linked("a soft link",
             [](hid_t id, Folder) {
               H5Lcreate_soft("/parameters/head/weight", id, embedding, H5P_DEFAULT, H5P_DEFAULT);
             }),
      linked("a soft link to itself",
             [](hid_t id, Folder) {
               H5Lcreate_soft(embedding, id, embedding, H5P_DEFAULT, H5P_DEFAULT);
             }),
      linked("in another file by a link",
             [=](hid_t id, Folder folder) {
               const std::string other = folder + "/other.h5";
               std::filesystem::copy_file(folder + "/" + file, other);
               H5Lcreate_external(other.c_str(), embedding, id, embedding, H5P_DEFAULT,
                                  H5P_DEFAULT);
             }),
      linked("in a file that is not there",
             [](hid_t id, Folder) {
               H5Lcreate_external("none.h5", "/", id, embedding, H5P_DEFAULT, H5P_DEFAULT);
             }),
      linked("a group",
             [](hid_t id, Folder) {
               H5Gclose(H5Gcreate2(id, embedding, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
             }),
      linked("a type",
             [](hid_t id, Folder) {
               H5Tcommit2(id, embedding, H5Tcopy(H5T_IEEE_F32LE), H5P_DEFAULT, H5P_DEFAULT,
                          H5P_DEFAULT);
             }),
      linked("the group above it",
             [](hid_t id, Folder) {
               H5Lcreate_hard(id, "/parameters", id, embedding, H5P_DEFAULT, H5P_DEFAULT);
             }),
      foreign(file, "/parameters holds itself",
              [](hid_t id, Folder) {
                H5Lcreate_hard(id, "/parameters", id, "/parameters/loop", H5P_DEFAULT, H5P_DEFAULT);
              }),
      foreign(
          file, "the root holds itself",
          [](hid_t id, Folder) { H5Lcreate_hard(id, "/", id, "/loop", H5P_DEFAULT, H5P_DEFAULT); }),
      foreign(file, "many groups in one another", [](hid_t id, Folder) { put_groups(id, 2000); }),
      foreign(file, "a dataset too many", [](hid_t id, Folder) { put_copy(id, "/parameters/x"); }),
      foreign(file, "a line in the name of a dataset",
              [](hid_t id, Folder) { put_copy(id, "/parameters/a\nb"); }),
      foreign(file, "/parameters is empty",
              [](hid_t id, Folder) {
                H5Ldelete(id, "/parameters", H5P_DEFAULT);
                H5Gclose(H5Gcreate2(id, "/parameters", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
              }),
      foreign(
          file, "half an optimizer",
          [](hid_t id, Folder) { H5Ldelete(id, "/optimizer/exp_avg_sq/embedding", H5P_DEFAULT); }),
      {file + ": an empty HDF5 file",
       [=](Folder folder) {
         const std::string path = folder + "/" + file;
         H5Fclose(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
       }},
      {file + ": HDF5 behind a user block", [=](Folder folder) {
         const std::string path = folder + "/" + file;
         const hid_t properties = H5Pcreate(H5P_FILE_CREATE);
         H5Pset_userblock(properties, 512);
         H5Fclose(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, properties, H5P_DEFAULT));
       }}};
}

}  // namespace rondo
