#include "training/models/local_model_files.h"

#include <map>
#include <vector>

#include "distributed/comm/agree.h"

namespace rondo {
namespace {

/// A dataset, and the run of its elements that a slice holds.
struct SliceValues {
  std::string dataset;
  at::Tensor values;  ///< [n], master type
};

/// The weights, and with `optimizer` their two moments.
std::vector<SliceValues> values_of(const OwnedSlice& slice, bool optimizer) {
  std::vector<SliceValues> list = {{parameter_dataset(slice.parameter), slice.master}};
  if (!optimizer) return list;
  list.push_back({exp_avg_dataset(slice.parameter), slice.exp_avg});
  list.push_back({exp_avg_sq_dataset(slice.parameter), slice.exp_avg_sq});
  return list;
}

/// Reads what this rank needs. Returns the checksums, by dataset, of the elements that it would
/// save.
std::map<std::string, uint64_t> read(LocalModel& model, const CheckpointReader& reader,
                                     bool optimizer) {
  std::map<std::string, uint64_t> sums;
  for (const OwnedSlice& slice : model.optimizer().needed_slices()) {
    for (const auto& [dataset, values] : values_of(slice, optimizer)) {
      sums[dataset] +=
          reader.read_range(dataset, slice.begin, values, slice.saved_begin, slice.saved_end);
    }
  }
  return sums;
}

}  // namespace

void load(LocalModel& model, const CheckpointReader& reader, const LoadOptions& options,
          Communicator& host) {
  const auto all = datasets_of(model.parameters(), model.precision().master, options.optimizer);
  std::vector<int64_t> sums(all.size(), 0);  // modulo 2^64, as the checksums are
  agree(host, [&] {
    std::map<std::string, uint64_t> mine = read(model, reader, options.optimizer);
    for (size_t i = 0; i < all.size(); ++i) sums[i] = static_cast<int64_t>(mine[all[i].path]);
  });
  host.all_reduce_sum({sums.data(), static_cast<int64_t>(sums.size()), ElementType::int64});
  agree(host, [&] {
    for (size_t i = 0; options.verify && i < all.size(); ++i) {
      reader.compare_checksum(all[i].path, static_cast<uint64_t>(sums[i]));
    }
  });
  model.optimizer().publish_values();
}

Save snapshot(LocalModel& model, const std::string& file, const CheckpointHeader& header) {
  model.check_whole();
  Save save{.file = file, .header = header};
  save.all = datasets_of(model.parameters(), model.precision().master, /*optimizer=*/true);
  for (const OwnedSlice& slice : model.optimizer().checkpoint_slices()) {
    for (const auto& [dataset, values] : values_of(slice, /*optimizer=*/true)) {
      save.mine.push_back({dataset, slice.begin, values});
    }
  }
  return save;
}

}  // namespace rondo
