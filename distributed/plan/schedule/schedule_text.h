// Programs as text, in the notation of torch.distributed.pipelining: "0F0" is the forward of chunk
// 0, microbatch 0; B, I and W are backward and its two halves; SEND_F, RECV_F, SEND_B, RECV_B move
// activations and gradients; "2REDUCE_GRAD" is reduction 2.
#pragma once

#include <string>

#include "distributed/plan/schedule/action.h"

namespace rondo {

std::string to_text(const Action& action);

/// Throws UserError for a text that is no action.
Action parse_action(const std::string& text);

/// One line per rank, actions between commas.
std::string to_csv(const Program& program);

/// Reads what `to_csv` or PyTorch's `_dump_csv` wrote; empty cells (a rank that waits) are skipped.
/// Throws UserError that names line and cell.
Program from_csv(const std::string& text);

}  // namespace rondo
