// What a key takes beyond its type: in words, and as a test.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launcher/config/codec.h"
#include "launcher/config/value.h"

namespace rondo {

struct Allowed {
  std::string words;  ///< "at least 1"; empty where everything is possible
  std::function<Complaint(const ConfigValue&)> complaint;
  std::vector<std::string> names = {};  ///< the values that have one
};

Allowed anything();
Allowed not_empty();

/// Of a number, or of every number in a list. Not a number and infinity never fit.
Allowed at_least(double low);
Allowed more_than_zero();
Allowed within(double low, double high);
/// [0, 1)
Allowed fraction();
/// (0, 1]
Allowed share();
/// A count of things that memory must hold: products of a few stay far from overflow.
Allowed count();

Allowed one_of(std::vector<std::string> names);

/// A sharing strategy; "cycle:4" by the name in front of the ':'. The map is checked later.
Allowed strategy();
Allowed strategy_or_empty();

/// distributed.route: a name, or one sign per pass.
Allowed route();
/// distributed.schedule: a name, or FILE.csv.
Allowed schedule();
/// train.passes: see PassSchedule.
Allowed pass_schedule();

}  // namespace rondo
