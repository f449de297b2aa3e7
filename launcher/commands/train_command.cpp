#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sysexits.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/counted.h"
#include "base/user_error.h"
#include "distributed/comm/agree.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/error_line.h"
#include "launcher/commands/job.h"
#include "launcher/commands/train/sweep.h"
#include "launcher/commands/train/train_run.h"
#include "launcher/commands/train/train_words.h"

namespace rondo {
namespace {

/// What became of all.
enum class Ending : uint8_t { done, stopped, failed };

/// A sweep's runs, and the folders that hold theirs.
struct Sweep {
  SweepRuns overrides;
  std::vector<PlannedRun> runs;
  std::set<std::string> folders = {};
};

/// The runs get the folders 0, 1, … in the log.dir that the user chose, or in a folder of the
/// sweep's own below multirun/.
Sweep plan_sweep(const TrainWords& words, int world_size, std::time_t now) {
  Sweep sweep{expand_multirun(words.overrides), {}};
  const std::string own = numbered_sweep_folder("multirun", sweep.overrides);
  for (const std::vector<std::string>& overrides : sweep.overrides) {
    PlannedRun run = plan_run(words, overrides, world_size, now);
    const std::string folder = set_run_folders(run.config, overrides, own, sweep.runs.size());
    check_sweep_folder(folder, sweep.overrides);
    sweep.folders.insert(folder);
    sweep.runs.push_back(std::move(run));
  }
  return sweep;
}

/// Leaves the run of that number alone, in its own folder; -1: all of them.
void keep_only(int number, Sweep& sweep) {
  if (number < 0) return;
  const auto count = static_cast<int>(sweep.runs.size());
  if (number >= count) {
    throw UserError(fmt::format("--run {}: the sweep has {}, from 0 to {}", number,
                                counted(int64_t{count}, "run"), count - 1));
  }
  sweep.runs = {sweep.runs[number]};
}

/// What the first rank's clock says, on every rank.
std::time_t common_now(Communicator& host) {
  auto now = static_cast<int64_t>(std::time(nullptr));
  host.broadcast({&now, 1, ElementType::int64}, 0);
  return now;
}

Ending train_one(const TrainWords& words, Communicator& host, const StopSignals& signals) {
  PlannedRun plan;
  const std::time_t now = common_now(host);
  agree(host, [&] { plan = plan_run(words, words.overrides, host.size(), now); });
  const TrainResult result = train(prepare_run(plan, host), host, signals);
  return result.stopped == StopReason::none ? Ending::done : Ending::stopped;
}

/// What became of one run of a sweep.
struct Outcome {
  std::string line;  ///< of the table
  bool failed = false;
  StopReason stopped = StopReason::none;
};

std::string describe_result(const TrainResult& result) {
  std::string text = fmt::format("step {}", result.step);
  text += result.loss ? fmt::format("  loss {:.4f}", *result.loss) : "  was done before";
  if (result.validation_loss) text += fmt::format("  held-out {:.4f}", *result.validation_loss);
  return text;
}

/// A failure that every rank knows of ends this run alone.
Outcome train_in_sweep(Run run, Communicator& host, const StopSignals& signals) {
  try {
    const TrainResult result = train(std::move(run), host, signals);
    return {describe_result(result), false, result.stopped};
  } catch (const AgreedError& error) {
    print_error(error);
  } catch (const std::exception& error) {
    if (host.size() > 1) throw;
    print_error(error);
  }
  return {"failed", true};
}

/// Before the lines of its metrics.
std::string run_line(const std::string& folder, const std::vector<std::string>& overrides) {
  const nlohmann::ordered_json line = {{"run", folder}, {"overrides", overrides}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// All runs are checked before the first begins.
Ending train_many(const TrainWords& words, Communicator& host, const StopSignals& signals) {
  Sweep sweep;
  const std::time_t now = common_now(host);
  agree(host, [&] {
    sweep = plan_sweep(words, host.size(), now);
    keep_only(words.only_run, sweep);
  });
  std::vector<Run> runs;
  for (const PlannedRun& plan : sweep.runs) runs.push_back(prepare_run(plan, host));
  agree(host, [&] {
    if (host.rank() != 0) return;
    NewFolders made;
    for (const std::string& folder : sweep.folders) {
      claim_sweep_folder(folder, sweep.overrides, made);
    }
    made.keep();
  });
  std::string table;
  Ending ending = Ending::done;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string folder = runs[i].config.log.dir;
    if (host.rank() == 0) {
      std::cout << fmt::format("\n== run {} of {}\n", i + 1, runs.size()) << std::flush;
      if (words.json_out != nullptr) *words.json_out << run_line(folder, sweep.runs[i].overrides);
    }
    const Outcome outcome = train_in_sweep(std::move(runs[i]), host, signals);
    table +=
        fmt::format("{}  {}  {}\n", folder, outcome.line, fmt::join(sweep.runs[i].overrides, "  "));
    if (outcome.failed) ending = Ending::failed;
    if (outcome.stopped == StopReason::none) continue;
    ending = Ending::stopped;
    if (outcome.stopped != StopReason::step)
      break;  // each run has its own steps, but not its own time
  }
  if (host.rank() == 0) std::cout << "\n" << table << std::flush;
  return ending;
}

/// "Stopped, not finished" has a code of its own, by which a job script knows that the same command
/// has something left to do: that of sysexits.h for what may succeed when it is tried again.
int exit_code(Ending ending) {
  switch (ending) {
    case Ending::done:
      return 0;
    case Ending::stopped:
      return EX_TEMPFAIL;
    case Ending::failed:
      return 1;
  }
  return 1;
}

/// Keeps text for people from stdout while it lives.
class Silence {
 public:
  Silence() : stdout_(std::cout.rdbuf(nullptr)) {}
  ~Silence() { std::cout.rdbuf(stdout_); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  std::streambuf* stdout_buffer() const { return stdout_; }

 private:
  std::streambuf* stdout_;
};

/// Trains as the words say, with stdout for people, for programs or for nobody.
Ending train_all(TrainWords words, Communicator& host, const StopSignals& signals) {
  std::optional<Silence> silence;
  std::optional<std::ostream> json;
  if (words.quiet || words.json) silence.emplace();
  if (words.json) words.json_out = &json.emplace(silence->stdout_buffer());
  return words.multirun ? train_many(words, host, signals) : train_one(words, host, signals);
}

}  // namespace

int train_command(const Arguments& arguments) {
  TrainWords words;
  StopSignals signals;
  Ending ending = Ending::done;
  run_job([&](bool speaks) { return read_train_words(arguments, speaks, words); },
          [&](Communicator& host) { ending = train_all(words, host, signals); });
  std::cout.clear();  // a run is what its files say; whoever read its lines may be gone
  return exit_code(ending);
}

}  // namespace rondo
