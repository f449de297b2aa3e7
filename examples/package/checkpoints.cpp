// Averages the weights of several checkpoints of one model into another, which rondo reads.
//   checkpoints OUTPUT.h5 INPUT.h5…
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cstdio>
#include <string>
#include <vector>

#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/checkpoint_writer.h"

namespace {

at::Tensor mean(const std::vector<std::string>& files, const std::string& path) {
  at::Tensor sum;
  for (const std::string& file : files) {
    const at::Tensor values = rondo::CheckpointReader(file).read(path).to(at::kDouble);
    sum = sum.defined() ? sum + values : values;
  }
  return sum / static_cast<double>(files.size());
}

void average(const std::string& output, const std::vector<std::string>& files) {
  rondo::CheckpointHeader header = rondo::CheckpointReader(files.back()).header();
  header.validation_loss.reset();  // of the weights before
  const std::vector<rondo::ParameterSpec> parameters = rondo::parameters(header.model);
  for (const std::string& file : files) {
    rondo::check_parameters(rondo::CheckpointReader(file), parameters);
  }
  std::vector<rondo::DatasetSlice> slices;
  for (const rondo::ParameterSpec& parameter : parameters) {
    const std::string path = rondo::parameter_dataset(parameter);
    slices.push_back({path, 0, mean(files, path).to(at::kFloat).flatten()});
  }
  rondo::save_checkpoint(output, header, rondo::datasets_of(parameters, at::kFloat, false), slices,
                         rondo::Writers::alone());
  std::printf("%s: mean of %zu checkpoints, %zu tensors\n", output.c_str(), files.size(),
              parameters.size());
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return std::fprintf(stderr, "checkpoints OUTPUT.h5 INPUT.h5...\n"), 2;
  try {
    average(words[1], {words + 2, words + count});
  } catch (const rondo::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
