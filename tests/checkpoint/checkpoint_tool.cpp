// What the Python tests of this folder call.
//   checkpoint_tool write FILE.h5
//   checkpoint_tool import DIR FILE.h5 STRATEGY UNIQUE INIT
#include <iostream>
#include <string>
#include <vector>

#include "checkpoint/conversion/convert.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "tests/checkpoint/example_checkpoint.h"

int main(int argc, char** argv) try {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 2 && words[0] == "write") {
    rondo::save_checkpoint(words[1], rondo::example_header(), rondo::example_datasets(),
                           rondo::example_slices(0, 1), rondo::Writers::alone());
    return 0;
  }
  if (words.size() == 6 && words[0] == "import") {
    rondo::ConvertOptions options;
    options.from = "hf:" + words[1];
    options.to = words[2];
    options.sharing.emplace();
    options.sharing->strategy = words[3];
    options.sharing->unique = std::stoi(words[4]);
    options.init = rondo::parse_sharing_init(words[5]);
    rondo::convert(options);
    return 0;
  }
  return 2;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
