#include "training/doctor/finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <tuple>

#include "base/number_runs.h"
#include "distributed/comm/gather.h"

namespace rondo {
namespace {

/// A line each: grade, subject, text.
std::string packed(const Findings& findings) {
  std::string text;
  for (const auto& [grade, subject, words] : findings) {
    text += fmt::format("{}\t{}\t{}\n", static_cast<int>(grade), subject, words);
  }
  return text;
}

Findings unpacked(const std::string& text) {
  Findings findings;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find('\t');
    const size_t second = line.find('\t', first + 1);
    findings.push_back({static_cast<Grade>(line[0] - '0'),
                        line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return findings;
}

/// "rank 3", "ranks 0-3, 7".
std::string named(const std::vector<int>& ranks) {
  return (ranks.size() == 1 ? "rank " : "ranks ") + number_runs(ranks, ", ");
}

}  // namespace

Findings gathered(const Findings& mine, Communicator& host) {
  const std::vector<std::string> texts = gather_texts(host, packed(mine));
  std::vector<Finding> order;
  std::vector<std::vector<int>> ranks;
  for (size_t rank = 0; rank < texts.size(); ++rank) {
    for (const Finding& finding : unpacked(texts[rank])) {
      const auto same = std::find_if(order.begin(), order.end(), [&](const Finding& other) {
        return std::tie(other.grade, other.subject, other.text) ==
               std::tie(finding.grade, finding.subject, finding.text);
      });
      if (same == order.end()) {
        order.push_back(finding);
        ranks.push_back({static_cast<int>(rank)});
      } else {
        ranks[same - order.begin()].push_back(static_cast<int>(rank));
      }
    }
  }
  for (size_t i = 0; i < order.size(); ++i) {
    if (ranks[i].size() < texts.size()) order[i].text = named(ranks[i]) + ": " + order[i].text;
  }
  return order;
}

}  // namespace rondo
