// The grammar of command line overrides, after Hydra's (hydra.cc, "basic override syntax").
#pragma once

#include <string>
#include <vector>

#include "launcher/config/value.h"

namespace rondo {

/// One override: `group=option`, `a.b=v`, `+a.b=v` or `~a.b`.
struct Override {
  std::string key;
  std::string value;  ///< text after the '='; empty for a deletion
  bool deletes = false;
  std::string where;  ///< "override 'a.b=v'"
};

/// Throws UserError when `text` is none of the four forms.
Override parse_override(const std::string& text);

/// The value of `override`: a TOML boolean, number or quoted string, a list of values in brackets,
/// or else bare text. Throws UserError for open quotes or brackets and for several values.
ConfigValue override_value(const Override& override);

}  // namespace rondo
