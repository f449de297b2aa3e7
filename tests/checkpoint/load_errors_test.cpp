// A file that does not hold what its header says is refused with the dataset, what was expected,
// what was found and what to do.

#include <ATen/ops/ones.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <filesystem>
#include <functional>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "tests/checkpoint/example_checkpoint.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

constexpr const char* norm = "/parameters/final_norm/weight";  // [8] float32

class LoadErrors : public testing::Test {
 protected:
  /// Saves the example with `datasets` in place of its own, full of ones.
  void save(const std::vector<DatasetSpec>& datasets) const {
    std::vector<DatasetSlice> slices;
    for (const DatasetSpec& spec : datasets) {
      slices.push_back({spec.path, 0, at::ones({spec.count()}, at::dtype(spec.dtype))});
    }
    save_checkpoint(file_, example_header(), datasets, slices, Writers::alone());
  }

  /// Changes the file as another program does, through HDF5.
  void change(const std::function<void(hid_t file)>& how) const {
    const hid_t file = H5Fopen(file_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    how(file);
    H5Fclose(file);
  }

  /// What loading the whole file says, after the file's name.
  std::string error() const {
    const std::string text = error_of<UserError>([&] {
      const CheckpointReader reader(file_);
      check_parameters(reader, example_parameters());
      reader.verify();
    });
    EXPECT_TRUE(text.empty() || text.starts_with(file_)) << text;
    return text.empty() ? "" : text.substr(file_.size());
  }

  TemporaryFolder folder_;
  std::string file_ = folder_.file("a.h5");
};

std::vector<DatasetSpec> without(const std::string& path) {
  std::vector<DatasetSpec> datasets = example_datasets();
  std::erase_if(datasets, [&](const DatasetSpec& spec) { return spec.path == path; });
  return datasets;
}

std::vector<DatasetSpec> with(const DatasetSpec& dataset) {
  std::vector<DatasetSpec> datasets = without(dataset.path);
  datasets.push_back(dataset);
  return datasets;
}

TEST_F(LoadErrors, NameAMissingDatasetOfTheWeightsAndOfEachMoment) {
  for (const std::string tree : {"/parameters/", "/optimizer/exp_avg/", "/optimizer/exp_avg_sq/"}) {
    const std::string path = tree + "final_norm/weight";
    save(without(path));
    EXPECT_EQ(error(),
              " lacks " + path + " of shape [8], which the model needs: use another checkpoint");
  }
}

TEST_F(LoadErrors, NameADatasetTooMany) {
  save(with({"/parameters/attention/7/q_proj/weight", {8, 8}}));
  EXPECT_EQ(error(),
            " has /parameters/attention/7/q_proj/weight, which the model does not use: delete it, "
            "or use another checkpoint");
}

TEST_F(LoadErrors, NameADatasetOfAnotherShape) {
  for (const char* path : {norm, "/optimizer/exp_avg_sq/final_norm/weight"}) {
    save(with({path, {8, 1}}));
    EXPECT_EQ(error(), std::string(": ") + path +
                           " has shape [8, 1], the model needs [8]: use another checkpoint");
  }
}

TEST_F(LoadErrors, NameADatasetOfAnotherType) {
  for (const auto& [type, name] : {std::pair{H5T_STD_I32LE, "4-byte values that are no floats"},
                                   std::pair{H5T_STD_I16LE, "2-byte values that are no floats"},
                                   std::pair{H5T_STD_U8LE, "bytes"}}) {
    save(example_datasets());
    change([&, type = type](hid_t file) {
      H5Ldelete(file, norm, H5P_DEFAULT);
      const hsize_t size = 8;
      const std::vector<int> values(size, 1);
      const hid_t space = H5Screate_simple(1, &size, nullptr);
      const hid_t dataset =
          H5Dcreate2(file, norm, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      H5Dwrite(dataset, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
      H5Dclose(dataset);
      H5Sclose(space);
    });
    EXPECT_EQ(error(), std::string(": ") + norm + " holds " + name +
                           ", expected float32 or float64: store it as one of them");
  }
}

TEST_F(LoadErrors, NameAnotherFormatVersion) {
  save(example_datasets());
  change([](hid_t file) {
    const int64_t newer = checkpoint_format_version + 1;
    const hid_t attribute = H5Aopen(file, "format_version", H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, &newer);
    H5Aclose(attribute);
  });
  EXPECT_EQ(error(), fmt::format(" has format_version {}, this program reads up to {}: use a newer "
                                 "rondo",
                                 checkpoint_format_version + 1, checkpoint_format_version));
}

TEST_F(LoadErrors, DoNotConcernAFileThatAnotherProgramHasChanged) {
  save(example_datasets());
  const auto sealed = fs::file_size(file_);
  change([](hid_t file) { H5Adelete_by_name(file, norm, "checksum", H5P_DEFAULT); });
  EXPECT_LT(fs::file_size(file_), sealed) << "HDF5 left the seal";
  EXPECT_EQ(error(), "");
}

TEST_F(LoadErrors, NameAFileThatIsNotAsLongAsItWas) {
  save(example_datasets());
  const auto sealed = fs::file_size(file_);
  fs::resize_file(file_, sealed - 1);
  EXPECT_EQ(error().find(" is damaged ("), 0u) << error();
  EXPECT_NE(error().find("bytes lie after its end that are no seal): use the checkpoint before"),
            std::string::npos)
      << error();
  fs::resize_file(file_, sealed / 2);
  EXPECT_NE(error().find("is damaged (it ends at byte " + std::to_string(sealed / 2) + " of "),
            std::string::npos)
      << error();
}

}  // namespace
}  // namespace rondo
