// `${a.b}` inside values.
#pragma once

#include "launcher/config/value.h"

namespace rondo {

/// `entries` with every `${key}` replaced by the value of `key`, taken from `entries` or else from
/// `defaults`. Provenance stays with the value that refers. Throws UserError for unknown keys, open
/// braces and cycles.
ConfigEntries interpolate(const ConfigEntries& entries, const ConfigEntries& defaults);

}  // namespace rondo
