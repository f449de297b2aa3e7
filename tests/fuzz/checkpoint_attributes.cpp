// The root attributes of a checkpoint: an input is lines "name=value", each an attribute of an
// otherwise empty file.
#include <charconv>

#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/hdf5_file.h"
#include "tests/fuzz/fuzz.h"

namespace rondo {
namespace {

/// As a number where it is one. HDF5 refuses names that are empty or there already.
void write_attribute(Hdf5File& file, const std::string& name, std::string_view value) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  try {
    if (error == std::errc() && end == value.data() + value.size()) {
      file.write_attribute("/", name, number);
    } else {
      file.write_attribute("/", name, std::string(value));
    }
  } catch (const Hdf5Error&) {
  }
}

void write_attributes(const std::string& path, std::string_view lines) {
  Hdf5File file = Hdf5File::create(path);
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    write_attribute(file, std::string(line.substr(0, equals)), line.substr(equals + 1));
  }
  file.close();
}

}  // namespace

void read_input(std::string_view bytes) {
  const std::string path = fuzz_folder().file("step-00000001.h5");
  write_attributes(path, bytes);
  takes([&] {
    const CheckpointReader reader(path);
    check_parameters(reader, parameters(reader.header().model));
  });
}

}  // namespace rondo
