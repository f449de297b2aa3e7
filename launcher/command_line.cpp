#include "launcher/command_line.h"

#include <algorithm>
#include <iostream>

#include "base/user_error.h"

namespace rondo {

bool parse_words(CLI::App& app, std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return false;
  } catch (const CLI::ParseError& error) {
    throw UserError(std::string(error.what()) + "; see rondo " + app.get_name() + " --help");
  }
  return true;
}

}  // namespace rondo
