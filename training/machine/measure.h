// cluster=measured: what this machine does, instead of what a table says.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "distributed/comm/world.h"
#include "model/definition/model_definition.h"
#include "training/config.h"

namespace rondo {

/// `config.cluster` with the speed of this model's layers and head, of messages within and between
/// nodes and of sums put in, measured on the running ranks, all at work at once, in about two
/// seconds. The same numbers on every rank. Collective.
ClusterConfig measure_cluster(const Config& config, const ModelDefinition& model, World world,
                              at::Device device);

/// "a rank computes 0.15 TFLOP/s; messages …": one line for people.
std::string describe(const ClusterConfig& cluster);

}  // namespace rondo
