// The index of a data set, beside tokens that count up.
#include "data/dataset/indexed_dataset.h"

#include <algorithm>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  constexpr int64_t token_bytes = 64;
  write_file(fuzz_folder().file("set.bin"), std::string(token_bytes, '\1'));
  write_file(fuzz_folder().file("set.idx"), std::string(bytes));
  takes([&] {
    const IndexedDataset set(fuzz_folder().file("set"));
    std::vector<int64_t> read(set.tokens());
    set.read(0, read);
    for (int64_t i = 0; i < set.documents(); ++i) {
      const TokenRange range = set.document(i);
      require(0 <= range.begin && range.begin <= range.end && range.end <= set.tokens());
    }
  });
}

}  // namespace rondo
