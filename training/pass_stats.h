// What each pass over the recurring layers does to the stream.
#pragma once

#include <optional>
#include <vector>

#include "model/definition/recurrence.h"
#include "training/models/local_model.h"
#include "training/models/stream_probe.h"
#include "training/step_metrics.h"

namespace rondo {

/// Takes the first microbatch of `source` forward, of which a few hundred tokens are looked at.
/// With `with_losses` also the loss that final norm and head would give of the state after each
/// pass. Collective over this replica's ranks; the same on all of them.
std::vector<PassMetrics> look_at_passes(LocalModel& model, StreamProbe& probe,
                                        const MicrobatchSource& source, const Recurrence& loop,
                                        bool with_losses);

}  // namespace rondo
