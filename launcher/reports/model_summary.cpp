#include "launcher/reports/model_summary.h"

#include <fmt/format.h>

#include "launcher/reports/progress.h"
#include "model/definition/parameters.h"

namespace rondo {

std::string summary(const ModelDefinition& model, int64_t sequence) {
  const ModelSpec& spec = model.spec;
  const ParameterCounts counts = count_parameters(model);
  const double flops = flops_per_token(model, sequence);
  std::string text = fmt::format(
      "{}: {} executed layers, hidden {}, {} heads ({} kv), ffn {}, "
      "vocab {}, {} head\n",
      spec.family, spec.depth, spec.hidden, spec.heads, spec.kv_heads, spec.ffn, spec.vocab,
      spec.tie_embeddings ? "tied" : "untied");
  text += draw(model.sharing);
  if (model.relaxation_rank > 0) {
    text +=
        fmt::format("relaxed: every layer adds terms of rank {} at most\n", model.relaxation_rank);
  }
  text += fmt::format("parameters stored    {:>15}  ({}; {} without embeddings)\n", counts.unique,
                      format_si(static_cast<double>(counts.unique)),
                      format_si(static_cast<double>(counts.unique_non_embedding)));
  text += fmt::format("parameters executed  {:>15}  ({}: each layer counts what it uses)\n",
                      counts.executed, format_si(static_cast<double>(counts.executed)));
  text += fmt::format("FLOPs per token      {:>15}  (forward and backward, {} tokens a sequence)\n",
                      format_si(flops), sequence);
  return text;
}

}  // namespace rondo
