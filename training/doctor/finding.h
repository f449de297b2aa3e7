// What a check of a machine found.
#pragma once

#include <string>
#include <vector>

#include "distributed/comm/communicator.h"

namespace rondo {

enum class Grade : uint8_t { fine, warning, failure };

struct Finding {
  Grade grade = Grade::fine;
  std::string subject;  ///< "files", "clock"
  std::string text;     ///< what was found, and how to mend it
};

using Findings = std::vector<Finding>;

/// What every rank found of one subject, on the first of them: alike findings once, with the ranks
/// that have them where those are not all. Collective.
Findings gathered(const Findings& mine, Communicator& host);

}  // namespace rondo
