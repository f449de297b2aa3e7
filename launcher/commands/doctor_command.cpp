#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/run_error.h"
#include "base/user_error.h"
#include "distributed/comm/agree.h"
#include "distributed/comm/mpi_session.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/job.h"
#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "training/doctor/checks.h"
#include "training/start/corpora.h"
#include "training/start/start.h"

namespace rondo {
namespace {

constexpr const char* doctor_examples = R"(
Takes the words of the run that is to follow: its folders, ranks, threads and backend are what is
looked at. Leaves nothing behind. Exit code 0: nothing stands in the way; 1: something does.

Examples:
  rondo doctor
  mpirun -n 4 rondo doctor data.path=corpus log.dir=runs/first
  srun --mpi=pmix rondo doctor "$@" && srun --mpi=pmix rondo train "$@"
)";

struct DoctorWords {
  std::vector<std::string> overrides;
  std::string config_dir = default_config_dir();
  bool json = false;
};

bool read_words(const Arguments& arguments, bool speaks, DoctorWords& words) {
  const CommandLine line{
      "doctor",
      "Checks before a run, in seconds, what it needs of the machine.",
      {{"overrides", &words.overrides, "as for rondo train: group=option, key=value"},
       {"--config-dir", &words.config_dir, "folder(s) of config groups, joined by ':'"},
       {"--json", &words.json, "print one JSON object"}},
      doctor_examples};
  return line.parse(arguments, speaks).has_value();
}

/// Of the running program.
std::string own_bytes() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Findings check_program(Communicator& host) {
  try {
    const auto hash = std::hash<std::string>()(own_bytes());
    check_same_text(host, "program", fmt::format("{:x}", hash));
  } catch (const AgreedError& error) {
    return {{Grade::failure, "program",
             fmt::format("{}: the nodes have different builds of rondo", error.what())}};
  }
  return {{Grade::fine, "program", "every rank runs the same rondo"}};
}

/// That the run's tokens can be read, where the words say which. Local.
Findings check_data(const Config& config) {
  if (config.data.path.empty() && config.data.blend.empty()) return {};
  try {
    open_corpora(config);
  } catch (const UserError& error) {
    return {{Grade::failure, "data", error.what()}};
  }
  return {{Grade::fine, "data", "the tokens can be opened"}};
}

/// Local. A model that comes from a checkpoint is not looked at.
Findings check_model(const Config& config, int world_size, int ranks_here) {
  if (!config.train.init.empty()) return {};
  try {
    return check_memory_need(config, define_model(config), world_size, ranks_here);
  } catch (const UserError& error) {
    return {{Grade::failure, "model", error.what()}};
  }
}

void append(Findings& all, const Findings& more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// Everything, on the first rank. Collective.
Findings examine(const Config& config, Communicator& host) {
  const auto ranks_here = static_cast<int>(ranks_on_node().size());
  Findings found = check_program(host);
  append(found, check_nodes(config, host));
  Findings local = check_limits(config, ranks_here);
  append(local, check_model(config, host.size(), ranks_here));
  append(local, check_data(config));
  append(found, gathered(local, host));
  append(found, check_clock(host));
  append(found, check_links(config, host));
  append(found, check_files(checkpoint_dir(config), host));
  append(found, check_devices(config, host));
  return found;
}

constexpr std::array grades = {"ok", "warning", "FAILURE"};

const char* grade_of(const Finding& finding) { return grades[static_cast<size_t>(finding.grade)]; }

void print(const Findings& findings, bool as_json) {
  if (!as_json) {
    for (const Finding& finding : findings) {
      std::cout << fmt::format("{:<8} {:<8} {}\n", grade_of(finding), finding.subject,
                               finding.text);
    }
    return;
  }
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back(
        {{"grade", grade_of(finding)}, {"subject", finding.subject}, {"text", finding.text}});
  }
  std::cout << nlohmann::ordered_json{{"findings", list}}.dump() << "\n";
}

}  // namespace

int doctor_command(const Arguments& arguments) {
  DoctorWords words;
  bool healthy = true;
  run_job([&](bool speaks) { return read_words(arguments, speaks, words); },
          [&](Communicator& host) {
            Config config;
            agree(host, [&] {
              config = parse_config(compose(words.config_dir, words.overrides));
              check_for_world(config, host.size());
            });
            const Findings found = examine(config, host);
            int64_t failures = std::count_if(found.begin(), found.end(), [](const Finding& f) {
              return f.grade == Grade::failure;
            });
            host.broadcast({&failures, 1, ElementType::int64}, 0);
            healthy = failures == 0;
            if (host.rank() == 0) print(found, words.json);
          });
  return healthy ? 0 : 1;
}

}  // namespace rondo
