#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "launcher/reports/sweep_report.h"

namespace rondo {
namespace {

constexpr double frame_width = 860, frame_height = 470, frame_left = 80, frame_right = 300,
                 frame_top = 60, frame_bottom = 70;
constexpr double slowest = 0.1, fastest = 1000.0;  // GB/s, of the axis
constexpr std::array shared_colours = {"#0b5fa5", "#3f8fd0", "#93c4ee"};
constexpr std::array unshared_colours = {"#a5480b", "#d07f3f", "#eebc93"};

/// The places of a picture over worlds and links, both logarithmic.
struct Axes {
  int first = 8;
  int last = 4096;

  double x(int world) const {
    const double share = std::log2(static_cast<double>(world) / first) /
                         std::max(1.0, std::log2(static_cast<double>(last) / first));
    return frame_left + share * (frame_width - frame_left - frame_right);
  }
  static double y(double gbs) {
    const double held = std::clamp(gbs, slowest, fastest);
    const double share = std::log10(held / slowest) / std::log10(fastest / slowest);
    return frame_height - frame_bottom - share * (frame_height - frame_top - frame_bottom);
  }
};

std::string words_at(double x, double y, const std::string& words, const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, more, words);
}

std::string frame_grid(const Axes& axes, const Sweep& sweep) {
  std::string out;
  for (int world = axes.first; world <= axes.last; world *= 2) {
    out += fmt::format("<path d=\"M{0:.1f} {1} V{2}\" stroke=\"#ddd\"/>\n", axes.x(world),
                       frame_top, frame_height - frame_bottom);
    out += words_at(axes.x(world), frame_height - frame_bottom + 18, fmt::format("{}", world),
                    "text-anchor=\"middle\"");
  }
  for (double gbs = slowest; gbs <= fastest; gbs *= 10) {
    out += fmt::format("<path d=\"M{} {:.1f} H{}\" stroke=\"#ddd\"/>\n", frame_left, Axes::y(gbs),
                       frame_width - frame_right);
    out +=
        words_at(frame_left - 8, Axes::y(gbs) + 4, fmt::format("{:g}", gbs), "text-anchor=\"end\"");
  }
  out += fmt::format("<path d=\"M{} {:.1f} H{}\" stroke=\"#555\" stroke-dasharray=\"5 4\"/>\n",
                     frame_left, Axes::y(sweep.inter_gbs), frame_width - frame_right);
  out += words_at(frame_left + 66, Axes::y(sweep.inter_gbs) + 14, "this cluster", "fill=\"#555\"");
  out += words_at((frame_left + frame_width - frame_right) / 2, frame_height - 26, "ranks",
                  "text-anchor=\"middle\"");
  out +=
      words_at(0, 0, "link between nodes, GB/s a rank",
               fmt::format("transform=\"translate(24 {:.0f}) rotate(-90)\" text-anchor=\"middle\"",
                           (frame_top + frame_height - frame_bottom) / 2)
                   .c_str());
  return out;
}

std::string curve(const Frontier& frontier, const Axes& axes, const char* colour) {
  std::string path;
  for (size_t i = 0; i < frontier.worlds.size(); ++i) {
    const double gbs = std::isinf(frontier.inter_gbs[i]) ? fastest : frontier.inter_gbs[i];
    path += fmt::format("{}{:.1f} {:.1f} ", i == 0 ? 'M' : 'L', axes.x(frontier.worlds[i]),
                        Axes::y(gbs));
  }
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.5\"/>\n", path,
                     colour);
}

}  // namespace

std::string sweep_svg(const Sweep& sweep) {
  Axes axes;
  if (!sweep.frontiers.empty() && !sweep.frontiers.front().worlds.empty()) {
    axes = {sweep.frontiers.front().worlds.front(), sweep.frontiers.front().worlds.back()};
  }
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" "
      "fill=\"#222\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      frame_width, frame_height);
  out += words_at(frame_left, 24, "Below a line a pipeline beats plain replicas with sharded state",
                  "font-size=\"15\" font-weight=\"bold\"");
  out += words_at(frame_left, 44, sweep.title + "; predicted by the planner", "fill=\"#555\"");
  out += frame_grid(axes, sweep);
  std::array<size_t, 2> drawn = {};
  double place = frame_top + 10;
  for (const Frontier& frontier : sweep.frontiers) {
    const auto& colours = frontier.shared ? shared_colours : unshared_colours;
    const char* colour = colours[drawn[frontier.shared ? 0 : 1]++ % colours.size()];
    out += curve(frontier, axes, colour);
    out += fmt::format("<path d=\"M{} {:.1f} h24\" stroke=\"{}\" stroke-width=\"2.5\"/>\n",
                       frame_width - frame_right + 16, place, colour);
    out += words_at(frame_width - frame_right + 46, place + 4, frontier.name);
    place += 22;
  }
  return out + "</svg>\n";
}

}  // namespace rondo
