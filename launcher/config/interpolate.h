// `${a.b}` inside values, as in OmegaConf and Hydra.
#pragma once

#include <ctime>

#include "launcher/config/value.h"

namespace rondo {

/// What values may refer to beside other keys.
struct Surroundings {
  std::time_t now = 0;
};

/// `entries` with every reference replaced:
///   ${key}                  the value of `key`, taken from `entries` or else from `defaults`
///   ${oc.env:NAME}          the environment variable; ${oc.env:NAME,text}: text where it is not
///   set
///   ${now:FORMAT}           the date and time of `around`, as strftime writes it
///   \${                     the two characters ${
/// A reference that is a whole value takes the type of what it stands for. Provenance stays with
/// the value that refers. Throws UserError for unknown keys, variables that are not set, open
/// braces and cycles.
ConfigEntries interpolate(const ConfigEntries& entries, const ConfigEntries& defaults,
                          const Surroundings& around);

/// `value` with a `\` in front of every `${`, so that it reads back as itself; and back.
ConfigValue escape_references(const ConfigValue& value);
ConfigValue unescape_references(const ConfigValue& value);

}  // namespace rondo
