// The subcommands. Each takes the words after its name and returns the exit code; UserError and
// other exceptions are left to main.
#pragma once

#include <string>
#include <vector>

namespace rondo {

using Arguments = std::vector<std::string>;

int bench_command(const Arguments& arguments);
int train_command(const Arguments& arguments);
int plan_command(const Arguments& arguments);
int prepare_command(const Arguments& arguments);
int convert_command(const Arguments& arguments);
int doctor_command(const Arguments& arguments);
int eval_command(const Arguments& arguments);
int generate_command(const Arguments& arguments);
int inspect_command(const Arguments& arguments);
int report_command(const Arguments& arguments);
int watch_command(const Arguments& arguments);

}  // namespace rondo
