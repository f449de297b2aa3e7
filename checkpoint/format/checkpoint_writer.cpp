#include "checkpoint/format/checkpoint_writer.h"

#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "base/partial_path.h"
#include "checkpoint/format/checksum.h"
#include "checkpoint/format/model_json.h"
#include "checkpoint/format/seal.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

Hdf5Type stored_type(const DatasetSpec& spec) {
  if (spec.dtype == at::kFloat) return Hdf5Type::float32;
  if (spec.dtype == at::kDouble) return Hdf5Type::float64;
  if (spec.dtype == at::kByte) return Hdf5Type::uint8;
  throw std::invalid_argument(fmt::format("{}: {} is not stored, only float32, float64 and uint8",
                                          spec.path, at::toString(spec.dtype)));
}

fs::path folder_of(const std::string& file) {
  const fs::path parent = fs::path(file).parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

}  // namespace

CheckpointWriter::CheckpointWriter(std::string file, const CheckpointHeader& header,
                                   const std::vector<DatasetSpec>& datasets, Writers writers)
    : file_(std::move(file)),
      writers_(std::move(writers)),
      partial_(partial_path(file_, writers_.of_first({getpid()}).front())) {
  for (const DatasetSpec& spec : datasets) progress_[spec.path].spec = spec;
  const std::map<std::string, std::string> texts = texts_of(header);
  for (const auto& [path, contents] : texts) {
    progress_[path].spec = {path, {static_cast<int64_t>(contents.size())}, at::kByte};
  }
  together([&] {
    if (writers_.rank() == 0) lay_out(header);
  });
  std::vector<int64_t> offsets;
  for (const auto& [path, progress] : progress_) offsets.push_back(progress.offset);
  offsets = writers_.of_first(std::move(offsets));
  auto offset = offsets.begin();
  for (auto& [path, progress] : progress_) progress.offset = *offset++;
  together([&] {
    if (!values_) values_ = ValueFile::open(partial_);
  });
  for (const auto& [path, contents] : texts) {
    if (writers_.rank() > 0) break;
    const c10::ArrayRef bytes(reinterpret_cast<const uint8_t*>(contents.data()), contents.size());
    write({path, 0, at::tensor(bytes, at::kByte)});
  }
}

CheckpointWriter::~CheckpointWriter() {
  if (values_) discard();
}

int64_t CheckpointWriter::Progress::bytes() const {
  return spec.count() * static_cast<int64_t>(at::elementSize(spec.dtype));
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

void CheckpointWriter::lay_out(const CheckpointHeader& header) {
  for (const Branch& branch : header.model.branches) {
    if (branch.tensors.empty()) continue;
    throw std::logic_error("a checkpoint does not describe branches of one's own, such as " +
                           branch.name);
  }
  take_room();
  std::string name;
  layout_bytes_ = ByteFile::in_memory(name);
  layout_ = Hdf5File::create(name);
  fs::remove(name);
  layout_->write_attribute("/", "format", std::string("rondo"));
  layout_->write_attribute("/", "format_version", checkpoint_format_version);
  layout_->write_attribute("/", "step", header.step);
  layout_->write_attribute("/", "tokens", header.tokens);
  if (header.samples) layout_->write_attribute("/", "samples", *header.samples);
  if (header.validation_loss) {
    layout_->write_attribute("/", "validation_loss", *header.validation_loss);
  }
  layout_->write_attribute("/", "config", header.config);
  layout_->write_attribute("/", "model", model_to_json(header.model.spec));
  layout_->write_attribute("/", "sharing", sharing_to_json(header.model.sharing));
  layout_->write_attribute("/", "relaxation", header.model.relaxation_rank);
  if (header.tokenizer) {
    layout_->write_attribute("/", "tokenizer", header.tokenizer->kind);
    const std::vector<int64_t>& ends = header.tokenizer->ends;
    if (!ends.empty()) layout_->write_attribute("/", "end_token", ends.front());
    if (ends.size() > 1) {
      layout_->write_attribute("/", "end_tokens", tokens_to_json(ends));
    }
  }
  for (auto& [path, progress] : progress_) {
    layout_->create_dataset(path, progress.spec.shape, stored_type(progress.spec));
    progress.offset = layout_->offset(path);
  }
}

/// Before HDF5 is asked for anything: a file that it cannot write takes the process with it when
/// MPI ends.
void CheckpointWriter::take_room() {
  int64_t bytes = 0;
  for (const auto& [path, progress] : progress_) bytes += progress.bytes();
  fs::create_directories(folder_of(file_));
  remove_abandoned(file_);
  check_room(folder_of(file_).string(), bytes);
  constexpr int64_t layout_of_one = 4096;  // and more than enough for the attributes of a thousand
  check_room("/dev/shm", (1000 + static_cast<int64_t>(progress_.size())) * layout_of_one);
  values_ = ValueFile::create(partial_, bytes);
}

void CheckpointWriter::check_slice(const DatasetSlice& slice) const {
  const auto found = progress_.find(slice.path);
  if (found == progress_.end()) throw std::invalid_argument(slice.path + ": no such dataset");
  const at::Tensor& values = slice.values;
  if (values.dim() != 1 || !values.is_contiguous() || !values.device().is_cpu() ||
      values.scalar_type() != found->second.spec.dtype) {
    throw std::invalid_argument(slice.path + ": a slice is 1-d, contiguous, on the CPU and " +
                                at::toString(found->second.spec.dtype));
  }
  const int64_t count = found->second.spec.count();
  if (slice.begin < 0 || slice.begin > count - values.numel()) {
    throw std::invalid_argument(fmt::format("{}: {} elements from {} of {}", slice.path,
                                            values.numel(), slice.begin, count));
  }
}

void CheckpointWriter::write(const DatasetSlice& slice) {
  attempt([&] {
    check_slice(slice);
    Progress& progress = progress_.at(slice.path);
    const at::Tensor& values = slice.values;
    const int64_t bytes = values.element_size();
    values_->write(progress.offset + slice.begin * bytes, values.data_ptr(),
                   values.numel() * bytes);
    progress.checksum += checksum(values.data_ptr(), bytes, slice.begin, values.numel());
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
    if (layout_) layout_->write_attribute(path, "checksum", static_cast<int64_t>(total));
  }
}

/// Copies all that is not values, and seals it. HDF5 does not recognise the file before this.
void CheckpointWriter::write_layout() {
  layout_->close();
  std::map<int64_t, int64_t> end_of;  // of each dataset, by its offset
  for (const auto& [path, progress] : progress_) {
    const int64_t bytes = progress.bytes();
    if (bytes > 0) end_of[progress.offset] = progress.offset + bytes;
  }
  const int64_t length = layout_bytes_->size();
  end_of[length] = length;
  ByteRanges ranges;
  std::string bytes;
  int64_t begin = 0;
  for (const auto& [offset, end] : end_of) {
    std::string between(static_cast<size_t>(offset - begin), '\0');
    layout_bytes_->read(begin, between.data(), offset - begin);
    values_->write(begin, between.data(), offset - begin);
    bytes += between;
    ranges[begin] = offset;
    begin = end;
  }
  const std::string behind = seal(ranges, bytes);
  values_->write(length, behind.data(), static_cast<int64_t>(behind.size()));
}

void CheckpointWriter::commit() {
  together([] {});
  together([&] { finish_checksums(); });
  together([&] {
    if (layout_) write_layout();
  });
  together([&] { values_->sync(); });
  values_.reset();
  together([&] {
    if (writers_.rank() != 0) return;
    fs::rename(partial_, file_);
    ByteFile::sync_folder(folder_of(file_).string());
  });
}

void CheckpointWriter::discard() {
  values_.reset();
  std::error_code gone;
  if (writers_.rank() == 0) fs::remove(partial_, gone);
}

void save_checkpoint(const std::string& file, const CheckpointHeader& header,
                     const std::vector<DatasetSpec>& all, const std::vector<DatasetSlice>& mine,
                     Writers writers) {
  CheckpointWriter writer(file, header, all, std::move(writers));
  for (const DatasetSlice& slice : mine) writer.write(slice);
  writer.commit();
}

}  // namespace rondo
