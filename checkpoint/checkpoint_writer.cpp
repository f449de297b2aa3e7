#include "checkpoint/checkpoint_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "checkpoint/checksum.h"
#include "checkpoint/model_json.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

Hdf5Type stored_type(const DatasetSpec& spec) {
  if (spec.dtype == torch::kFloat32) return Hdf5Type::float32;
  if (spec.dtype == torch::kFloat64) return Hdf5Type::float64;
  throw std::invalid_argument(fmt::format("{}: {} is not stored, only float32 and float64",
                                          spec.path, torch::toString(spec.dtype)));
}

/// What the kernel still holds of a file, or of a folder's entries, goes to the disk.
void sync(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  const int reason = errno;
  if (descriptor >= 0) close(descriptor);
  if (!synced) throw std::runtime_error(fmt::format("fsync: {}", std::strerror(reason)));
}

fs::path folder_of(const std::string& file) {
  const fs::path parent = fs::path(file).parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

}  // namespace

CheckpointWriter::CheckpointWriter(std::string file, const CheckpointHeader& header,
                                   const std::vector<DatasetSpec>& datasets, bool parallel)
    : file_(std::move(file)), partial_(file_ + ".partial"), writers_(parallel) {
  together([&] {
    if (writers_.rank() == 0) fs::create_directories(folder_of(file_));
  });
  together([&] {
    hdf5_ = Hdf5File::create(
        partial_, writers_.parallel() ? Hdf5File::Access::parallel : Hdf5File::Access::serial);
  });
  together([&] {
    write_header(header);
    for (const DatasetSpec& spec : datasets) {
      hdf5_->create_dataset(spec.path, spec.shape, stored_type(spec));
      progress_[spec.path].spec = spec;
    }
  });
}

CheckpointWriter::~CheckpointWriter() {
  if (hdf5_) discard();
}

/// The first error of this rank is kept; after one, steps are skipped until the ranks agree.
template <typename Step>
void CheckpointWriter::attempt(Step step) {
  if (!error_.empty()) return;
  try {
    step();
  } catch (const std::exception& error) {
    const std::string who = writers_.parallel() ? fmt::format(" (rank {})", writers_.rank()) : "";
    error_ = fmt::format("cannot write {}{}: {}", file_, who, error.what());
  }
}

/// One step of all ranks; nobody goes on when it failed for anybody.
template <typename Step>
void CheckpointWriter::together(Step step) {
  attempt(step);
  try {
    writers_.agree(error_);
  } catch (...) {
    discard();
    throw;
  }
}

void CheckpointWriter::write_header(const CheckpointHeader& header) {
  hdf5_->write_attribute("/", "format", std::string("rondo"));
  hdf5_->write_attribute("/", "format_version", checkpoint_format_version);
  hdf5_->write_attribute("/", "step", header.step);
  hdf5_->write_attribute("/", "tokens", header.tokens);
  hdf5_->write_attribute("/", "config", header.config);
  hdf5_->write_attribute("/", "model", model_to_json(header.model));
  hdf5_->write_attribute("/", "sharing", sharing_to_json(header.sharing));
  hdf5_->write_attribute("/", "relaxation", header.relaxation_rank);
  if (!header.data.empty()) hdf5_->write_attribute("/", "data", header.data);
}

void CheckpointWriter::check_slice(const DatasetSlice& slice) const {
  const auto found = progress_.find(slice.path);
  if (found == progress_.end()) throw std::invalid_argument(slice.path + ": no such dataset");
  const torch::Tensor& values = slice.values;
  if (values.dim() != 1 || !values.is_contiguous() || !values.device().is_cpu() ||
      values.scalar_type() != found->second.spec.dtype) {
    throw std::invalid_argument(slice.path + ": a slice is 1-d, contiguous, on the CPU and " +
                                torch::toString(found->second.spec.dtype));
  }
}

void CheckpointWriter::write(const DatasetSlice& slice) {
  attempt([&] {
    check_slice(slice);
    Progress& progress = progress_.at(slice.path);
    const torch::Tensor& values = slice.values;
    hdf5_->write(slice.path, slice.begin, values.numel(), stored_type(progress.spec),
                 values.data_ptr());
    progress.checksum +=
        checksum(values.data_ptr(), values.element_size(), slice.begin, values.numel());
    progress.written += static_cast<uint64_t>(values.numel());
  });
}

/// Adds up what every rank wrote, and stores it beside each dataset.
void CheckpointWriter::finish_checksums() {
  std::vector<uint64_t> sums;
  for (const auto& [path, progress] : progress_) {
    sums.push_back(progress.checksum);
    sums.push_back(progress.written);
  }
  sums = writers_.sum(std::move(sums));
  auto sum = sums.begin();
  for (const auto& [path, progress] : progress_) {
    const uint64_t total = *sum++;
    const uint64_t written = *sum++;
    if (written != static_cast<uint64_t>(progress.spec.count())) {
      throw std::logic_error(
          fmt::format("{}: {} of {} elements were written", path, written, progress.spec.count()));
    }
    hdf5_->write_attribute(path, "checksum", static_cast<int64_t>(total));
  }
}

void CheckpointWriter::commit() {
  together([] {});
  together([&] { finish_checksums(); });
  together([&] { hdf5_->flush(); });
  together([&] { hdf5_->close(); });
  hdf5_.reset();
  together([&] { sync(partial_); });
  together([&] {
    if (writers_.rank() != 0) return;
    fs::rename(partial_, file_);
    sync(folder_of(file_));
  });
}

void CheckpointWriter::discard() {
  hdf5_.reset();
  std::error_code gone;
  if (writers_.rank() == 0) fs::remove(partial_, gone);
}

void save_checkpoint(const std::string& file, const CheckpointHeader& header,
                     const std::vector<DatasetSpec>& all, const std::vector<DatasetSlice>& mine,
                     bool parallel) {
  CheckpointWriter writer(file, header, all, parallel);
  for (const DatasetSlice& slice : mine) writer.write(slice);
  writer.commit();
}

}  // namespace rondo
