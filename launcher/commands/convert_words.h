// What a conversion's refusals and notes are in the words of `rondo convert`.
#pragma once

#include <string>

#include "checkpoint/conversion/convert.h"

namespace rondo {

/// One line that names the options; `options` are those that were refused.
std::string worded(const ConversionRefusal& refusal, const ConvertOptions& options);
std::string worded(const ConversionNote& note);

}  // namespace rondo
