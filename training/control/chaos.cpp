#include "training/control/chaos.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "base/nearest.h"
#include "base/user_error.h"

namespace rondo {
namespace {

const std::vector<std::string>& kinds() {
  static const std::vector<std::string> names = {"kill", "stop", "memory", "disk",
                                                 "slow", "nan",  "inf",    "spike"};
  return names;
}

bool alters_stream(const Fault& fault) { return fault.kind == "nan" || fault.kind == "inf"; }

Fault parse_fault(const std::string& text) {
  const size_t at = text.find('@');
  const size_t colon = std::min(text.find(':'), text.size());
  Fault fault{.kind = text.substr(0, at)};
  const bool known = std::find(kinds().begin(), kinds().end(), fault.kind) != kinds().end();
  if (at == std::string::npos || !known) {
    throw UserError(fmt::format("--chaos {}: write KIND@STEP or KIND@STEP:WHAT; KIND {}", text,
                                choice_among(fault.kind, kinds())));
  }
  const char* end = text.data() + colon;
  const auto [stopped, error] = std::from_chars(text.data() + at + 1, end, fault.step);
  if (error != std::errc() || stopped != end || fault.step < 1) {
    throw UserError(fmt::format("--chaos {}: after '@' comes a step, from 1", text));
  }
  if (colon < text.size()) fault.what = text.substr(colon + 1);
  return fault;
}

/// Ends what the system gives, and takes what the process had freed, down to a page: with that
/// alone a run may go on for long.
void refuse_memory() {
  const rlimit limit{0, 0};
  setrlimit(RLIMIT_DATA, &limit);
  for (size_t size = size_t{1} << 26; size >= 1 << 12; size /= 2) {
    while (std::malloc(size) != nullptr) {
    }
  }
}

/// A write beyond the limit fails with EFBIG, since main ignores the signal that comes with it.
void refuse_disk() {
  const rlimit limit{0, 0};
  setrlimit(RLIMIT_FSIZE, &limit);
}

/// Its weights under a factor that no run would come back from by itself.
void scale_weights(LocalModel& model) {
  const at::NoGradGuard no_grad;
  model.optimizer().wait_for_values();
  for (FlatBuffer& buffer : model.store().buffers()) buffer.values.mul_(3.0);
  model.optimizer().adopt_values();
}

std::vector<std::string> components_of_halves(const ModelDefinition& model) {
  std::set<std::string> names;
  for (int half = 0; half < half_layers(model); ++half) {
    for (const Component& component : components_of(model, half)) {
      names.insert(to_string(component));
    }
  }
  return {names.begin(), names.end()};
}

/// Why nothing is struck where the fault says; empty where something is.
std::string complaint_of_target(const Fault& fault, const std::vector<std::string>& halves,
                                int ranks) {
  if (fault.what.empty()) return "";
  if (fault.kind == "spike") return "a spike strikes all ranks";
  if (alters_stream(fault)) {
    const bool known = std::find(halves.begin(), halves.end(), fault.what) != halves.end();
    return known ? "" : "no layer reads it; " + choice_among(fault.what, halves);
  }
  for (int rank = 0; rank < ranks; ++rank) {
    if (fault.what == std::to_string(rank)) return "";
  }
  return fmt::format("WHAT is a rank, 0 to {}", ranks - 1);
}

bool reads(const std::vector<View>& views, const std::string& component) {
  return std::any_of(views.begin(), views.end(),
                     [&](const View& view) { return to_string(view.component) == component; });
}

}  // namespace

std::vector<Fault> parse_faults(const std::string& text) {
  std::vector<Fault> faults;
  std::istringstream list(text);
  for (std::string part; std::getline(list, part, ',');) faults.push_back(parse_fault(part));
  return faults;
}

void check_faults(const std::vector<Fault>& faults, const ModelDefinition& model, int64_t steps,
                  int ranks) {
  const std::vector<std::string> halves = components_of_halves(model);
  for (const Fault& fault : faults) {
    const std::string found = fault.step > steps
                                  ? fmt::format("the last step is train.steps = {}", steps)
                                  : complaint_of_target(fault, halves, ranks);
    if (found.empty()) continue;
    throw UserError(fmt::format("--chaos {}@{}{}{}: {}", fault.kind, fault.step,
                                fault.what.empty() ? "" : ":", fault.what, found));
  }
}

bool Chaos::hits(const Fault& fault) const {
  return fault.what.empty() || fault.what == std::to_string(rank_);
}

HalfBuilders Chaos::around(HalfBuilders builders) const {
  return wrapped(std::move(builders), [this](const HalfWeights& weights, HalfFunction run) {
    for (const Fault& fault : faults_) {
      const bool meant = fault.what.empty() || reads(weights.views(), fault.what);
      if (!alters_stream(fault) || !meant) continue;
      const double value = fault.kind == "nan" ? std::numeric_limits<double>::quiet_NaN()
                                               : std::numeric_limits<double>::infinity();
      run = [this, run = std::move(run), value, step = fault.step](const Stream& stream,
                                                                   const HalfContext& context) {
        Stream after = run(stream, context);
        if (step == step_) after.x = after.x + value;
        return after;
      };
    }
    return run;
  });
}

void Chaos::strike(int64_t step, LocalModel& model) {
  step_ = step;
  for (Fault& fault : faults_) {
    if (fault.kind == "slow" && step >= fault.step && hits(fault)) {
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    if (fault.step != step || fault.struck) continue;
    fault.struck = true;  // a run that rewinds comes by again
    if (fault.kind == "spike") scale_weights(model);
    if (alters_stream(fault) || !hits(fault)) continue;
    if (fault.kind == "kill") kill(getpid(), SIGKILL);
    if (fault.kind == "stop") kill(getpid(), SIGSTOP);
    if (fault.kind == "memory") refuse_memory();
    if (fault.kind == "disk") refuse_disk();
  }
}

}  // namespace rondo
