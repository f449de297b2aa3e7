// The reference of the keys, from the schema: for a terminal and as docs/configuration.md.
#pragma once

#include <string>

namespace rondo {

/// The groups and keys that begin with `prefix` ("", "optimizer", "train.m") or end with it as
/// their last name ("micro_batch"), by tables, in lines of at most `width` columns. Defaults and
/// options are those of `config_dir` (see `compose`). Throws UserError, with what may be meant,
/// when there is none.
std::string config_reference(const std::string& config_dir, const std::string& prefix, int width);

/// All of it as a Markdown page.
std::string config_page(const std::string& config_dir);

}  // namespace rondo
