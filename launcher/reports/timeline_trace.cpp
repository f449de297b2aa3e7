#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "distributed/plan/schedule/schedule_text.h"
#include "launcher/reports/timeline.h"

namespace rondo {
namespace {

using nlohmann::json;

constexpr int computations = 0;
constexpr int sums = 1;

json span(int rank, int track, const std::string& name, const char* kind) {
  return {{"ph", "X"}, {"pid", rank}, {"tid", track}, {"name", name}, {"cat", kind}};
}

json label(int rank, int track, const char* what, const std::string& name) {
  return {{"ph", "M"}, {"pid", rank}, {"tid", track}, {"name", what}, {"args", {{"name", name}}}};
}

double microseconds(double s) { return 1e6 * s; }

/// A message is on its way while its rank computes: a pair of asynchronous events, matched by id.
void add_message(int rank, const TimedAction& timed, size_t id, json& events) {
  for (const auto& [phase, at] : {std::pair("b", timed.start_s), std::pair("e", timed.end_s)}) {
    events.push_back({{"ph", phase},
                      {"pid", rank},
                      {"tid", computations},
                      {"id", id},
                      {"cat", "message"},
                      {"name", to_text(timed.action)},
                      {"ts", microseconds(at)}});
  }
}

void add_optimizer(int rank, const Timeline& timeline, json& events) {
  if (timeline.update_s <= 0.0) return;
  json event = span(rank, computations, "optimizer", "optimizer");
  event["ts"] = microseconds(timeline.pipeline_s());
  event["dur"] = microseconds(timeline.update_s);
  events.push_back(event);
}

}  // namespace

double Timeline::pipeline_s() const {
  double end = 0.0;
  for (const std::vector<TimedAction>& actions : ranks) {
    for (const TimedAction& timed : actions) end = std::max(end, timed.end_s);
  }
  return end;
}

std::string timeline_trace(const Timeline& timeline) {
  json events = json::array();
  for (size_t r = 0; r < timeline.ranks.size(); ++r) {
    const int rank = static_cast<int>(r);
    events.push_back(label(rank, computations, "process_name", fmt::format("rank {}", rank)));
    events.push_back(label(rank, computations, "thread_name", "compute"));
    events.push_back(label(rank, sums, "thread_name", "sums"));
    for (const TimedAction& timed : timeline.ranks[r]) {
      const Op op = timed.action.op;
      if (is_receive(op)) continue;
      if (is_send(op)) {
        add_message(rank, timed, events.size(), events);
        continue;
      }
      const bool computes = is_compute(op);
      json event = span(rank, computes ? computations : sums, to_text(timed.action),
                        computes ? "compute" : "sum");
      event["ts"] = microseconds(timed.start_s);
      event["dur"] = microseconds(timed.end_s - timed.start_s);
      if (computes) {
        event["args"] = {{"chunk", timed.action.chunk}, {"microbatch", timed.action.microbatch}};
      } else {
        event["args"] = {{"group", timed.action.group}};
      }
      events.push_back(event);
    }
    add_optimizer(rank, timeline, events);
  }
  const json trace = {{"displayTimeUnit", "ms"},
                      {"otherData", {{"title", timeline.title}}},
                      {"traceEvents", events}};
  return trace.dump() + "\n";
}

}  // namespace rondo
