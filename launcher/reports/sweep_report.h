// What plans cost from few ranks to thousands, with and without shared blocks.
#pragma once

#include <string>
#include <vector>

#include "distributed/plan/plan.h"

namespace rondo {

/// The best plan for one world and one map; nothing where none fits.
struct SweepPoint {
  int world = 1;
  int pipeline = 0;  ///< 0: no plan fits
  std::string route = {};
  double tokens_per_s = 0.0;  ///< of a rank
  double bubble = 0.0;
  double sent_bytes = 0.0;    ///< of a rank, in a step
  double memory_bytes = 0.0;  ///< of the rank that holds most
};

/// One map from few ranks to many.
struct SweepSide {
  std::string name;
  std::vector<SweepPoint> points = {};
};

/// Where a pipeline begins to win over plain replicas with a sharded optimizer.
struct Frontier {
  std::string name;  ///< "cycle of 6 blocks, 8 sequences a rank"
  bool shared = true;
  std::vector<int> worlds = {};
  std::vector<double> inter_gbs =
      {};  ///< by world: a link slower than this; 0: none, infinity: any
};

struct Sweep {
  std::string title;
  double inter_gbs = 0.0;  ///< of the machine
  std::vector<SweepSide> sides = {};
  std::vector<Frontier> frontiers = {};
};

/// A table of the sides, and one of the frontiers.
std::string sweep_report(const Sweep& sweep);

/// A picture of the frontiers: below a line a pipeline wins.
std::string sweep_svg(const Sweep& sweep);

std::string sweep_json(const Sweep& sweep);

}  // namespace rondo
