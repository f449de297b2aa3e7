#include "training/control/health.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/run_error.h"
#include "base/user_error.h"
#include "distributed/comm/agree.h"

namespace rondo {
namespace {

bool has_finite_weights(const std::string& file) {
  try {
    return first_not_finite(CheckpointReader(file)).empty();
  } catch (const UserError&) {
    return false;
  }
}

/// Whether a layer can compute with the weights `values`. Norms and products take squares: weights
/// of 1e38 are finite, and yet every output is zero or infinite.
bool are_usable(const at::Tensor& values) {
  if (values.numel() == 0) return true;
  const bool wide = values.scalar_type() == at::kDouble;
  const double most = std::sqrt(wide ? std::numeric_limits<double>::max()
                                     : static_cast<double>(std::numeric_limits<float>::max()));
  const auto [low, high] = values.aminmax();  // NaN travels through both
  return low.item<double>() > -most && high.item<double>() < most;
}

}  // namespace

bool all_finite(const at::Tensor& values) {
  if (values.numel() == 0) return true;
  const auto [low, high] = values.aminmax();  // NaN travels through both
  return std::isfinite(low.item<double>()) && std::isfinite(high.item<double>());
}

std::string first_not_finite(const std::vector<DatasetSlice>& slices) {
  for (const DatasetSlice& slice : slices) {
    const bool weights = slice.path.starts_with(all_parameters);
    if (!(weights ? are_usable(slice.values) : all_finite(slice.values))) return slice.path;
  }
  return "";
}

std::string first_not_finite(const CheckpointReader& reader) {
  for (const ParameterSpec& parameter : parameters(reader.header().model)) {
    const std::string path = parameter_dataset(parameter);
    if (!are_usable(reader.read(path))) return path;
  }
  return "";
}

std::string way_back(const std::string& folder) {
  const std::vector<std::string> files = list_checkpoints(folder);
  if (files.empty()) return "there is no checkpoint yet, and the same command begins anew";
  for (const std::string& file : files) {
    if (!has_finite_weights(file)) continue;
    const std::string first = file == files.front() ? "" : "move the later ones away, and ";
    return fmt::format(
        "{} is the newest checkpoint with finite weights: {}the same command goes on "
        "from there",
        file, first);
  }
  return fmt::format("no checkpoint in {} has finite weights", folder);
}

void end_not_finite(Communicator& host, const std::string& what, const std::string& folder) {
  agree(host, [&] {
    if (host.rank() > 0) throw RunError("");
    throw RunError(
        fmt::format("{}: lower optimizer.lr or optimizer.clip; {}", what, way_back(folder)));
  });
}

}  // namespace rondo
