// Which layers attend to the last tokens alone (sliding windows: Longformer, arXiv 2004.05150;
// Mistral, arXiv 2310.06825). Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/definition/model_spec.h"

namespace rondo {

/// Whether each of `depth` layers slides under a value of `model.window_layers`: "all"; "from:K",
/// layer K (from 0) and those after it; or a pattern of s (slides) and f (full) that repeats over
/// the layers, "ssf". Nothing when the text is none of these, or fits no `depth` layers: K or the
/// pattern is longer, or no layer slides.
std::optional<std::vector<bool>> sliding_layers(const std::string& text, int64_t depth);

/// The shortest text that `sliding_layers` reads as `slides`, of which one is true: equal models
/// have equal texts.
std::string window_layers_text(const std::vector<bool>& slides);

/// What is wrong with `window` and `window_layers`, as "window = …"; nothing when they are fine.
std::optional<std::string> window_fault(const ModelSpec& model);

/// How many tokens `layer` sees, itself included; 0: all before it. Throws UserError for
/// `window_layers` of another form.
int64_t window_of(const ModelSpec& model, int layer);

/// The pairs of query and key that a token of `layer` takes part in, in a text of `sequence`
/// tokens, times two: `sequence` for the whole causal triangle.
double attended_tokens(const ModelSpec& model, int layer, int64_t sequence);

}  // namespace rondo
