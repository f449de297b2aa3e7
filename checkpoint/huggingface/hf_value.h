// A member of the specification as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "model/definition/foreign_names.h"
#include "model/definition/model_spec.h"

namespace rondo {

nlohmann::json value_of(const ModelSpec& model, const SpecMember& member);

}  // namespace rondo
