// What must hold between keys.
#pragma once

#include "launcher/config/value.h"
#include "training/config.h"

namespace rondo {

/// Throws UserError for keys of `config` that do not go together, at the place of whichever of them
/// was written last; `entries` has every key. `about_model`: the keys that describe the model, or
/// all others.
void check_together(const Config& config, const ConfigEntries& entries, bool about_model);

}  // namespace rondo
