#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "launcher/reports/timeline.h"

namespace rondo {
namespace {

// Pixels.
constexpr double width = 1400;
constexpr double left = 70;
constexpr double right = 20;
constexpr double top = 78;
constexpr double bar = 26;
constexpr double strip = 6;  ///< of sums, below the bar
constexpr double row_height = bar + strip + 6;

/// Hues of passes, in degrees; used again in turn where there are more.
constexpr std::array<int, 8> hues = {212, 28, 140, 350, 275, 48, 180, 320};

/// Forward light, backward dark.
struct Shade {
  Op op;
  int lightness;
  std::string_view name;
};
constexpr std::array<Shade, 4> shades = {{{Op::forward, 74, "forward"},
                                          {Op::backward, 48, "backward"},
                                          {Op::backward_input, 54, "input gradient"},
                                          {Op::backward_weight, 36, "weight gradient"}}};

/// "#rrggbb" of hue [0, 360), saturation and lightness [0, 1] (CSS Color 4, section 7.1):
/// converters of pictures do not all know hsl().
std::string hex(double hue, double saturation, double lightness) {
  const auto channel = [&](double n) {
    const double k = std::fmod(n + hue / 30.0, 12.0);
    const double a = saturation * std::min(lightness, 1.0 - lightness);
    const double value = lightness - a * std::max(-1.0, std::min({k - 3.0, 9.0 - k, 1.0}));
    return static_cast<int>(std::lround(255.0 * value));
  };
  return fmt::format("#{:02x}{:02x}{:02x}", channel(0.0), channel(8.0), channel(4.0));
}

std::string colour(int pass, Op op) {
  const auto shade =
      std::find_if(shades.begin(), shades.end(), [op](const Shade& s) { return s.op == op; });
  return hex(hues[static_cast<size_t>(pass) % hues.size()], 0.62, shade->lightness / 100.0);
}

std::string escaped(std::string_view words) {
  std::string result;
  for (char c : words) {
    if (c == '<') {
      result += "&lt;";
    } else if (c == '&') {
      result += "&amp;";
    } else {
      result += c;
    }
  }
  return result;
}

std::string text(double x, double y, std::string_view style, std::string_view words) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>\n", x, y, style,
                     escaped(words));
}

std::string rectangle(double x, double y, double w, double h, std::string_view fill) {
  return fmt::format(
      "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", x, y, w,
      h, fill);
}

class Drawing {
 public:
  explicit Drawing(const Timeline& timeline)
      : timeline_(timeline), end_s_(timeline.pipeline_s() + timeline.update_s) {}

  std::string run() {
    const double height = top + row_height * static_cast<double>(timeline_.ranks.size()) + 40;
    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
        "width=\"{0:.0f}\" "
        "height=\"{1:.0f}\">\n"
        "<style>text{{font:12px sans-serif;fill:#333}} .title{{font-size:15px;font-weight:bold}} "
        ".axis{{fill:#777;text-anchor:middle}} .rank{{text-anchor:end}} "
        ".number{{font-size:10px;fill:#fff;text-anchor:middle}} .dark{{fill:#333}}</style>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        width, height);
    svg += text(left, 22, "title", timeline_.title) + legend() + axis();
    for (size_t rank = 0; rank < timeline_.ranks.size(); ++rank) svg += rank_row(rank);
    return svg + "</svg>\n";
  }

 private:
  double x(double s) const { return left + (width - left - right) * s / end_s_; }
  double y(size_t rank) const { return top + row_height * static_cast<double>(rank); }

  std::string legend() const {
    std::string svg;
    double at = left;
    const auto entry = [&](const std::string& fill, std::string_view name) {
      svg += rectangle(at, 34, 12, 12, fill) + text(at + 16, 44.5, "", name);
      at += 32 + 6.6 * static_cast<double>(name.size());
    };
    for (const Shade& shade : shades) {
      if (uses(shade.op)) entry(colour(0, shade.op), shade.name);
    }
    const int passes = std::min(timeline_.placement.passes(), static_cast<int>(hues.size()));
    for (int v = 0; passes > 1 && v < passes; ++v) {
      const bool more = v + 1 == passes && timeline_.placement.passes() > passes;
      entry(colour(v, Op::backward), fmt::format("pass {}{}", v, more ? " …" : ""));
    }
    if (uses(Op::reduce)) entry(sum_fill, "sum");
    if (timeline_.update_s > 0.0) entry(update_fill, "optimizer");
    return svg;
  }

  bool uses(Op op) const {
    return std::any_of(timeline_.ranks.begin(), timeline_.ranks.end(), [op](const auto& actions) {
      return std::any_of(actions.begin(), actions.end(),
                         [op](const TimedAction& timed) { return timed.action.op == op; });
    });
  }

  /// About ten round times.
  std::string axis() const {
    const double rough = end_s_ / 10.0;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    const double step = power * (rough < 2 * power ? 2 : rough < 5 * power ? 5 : 10);
    std::string svg;
    const double bottom = y(timeline_.ranks.size());
    for (int i = 0; i * step <= end_s_; ++i) {
      svg += fmt::format("<path d=\"M{0:.1f} {1:.0f}V{2:.0f}\" stroke=\"#ddd\"/>\n", x(i * step),
                         top - 8, bottom);
      svg += text(x(i * step), bottom + 16, "axis", fmt::format("{:g} ms", 1e3 * i * step));
    }
    return svg;
  }

  std::string rank_row(size_t rank) const {
    std::string svg = text(left - 8, y(rank) + 17, "rank", fmt::format("rank {}", rank));
    svg += rectangle(left, y(rank), width - left - right, bar, "#f2f2f2");
    for (const TimedAction& timed : timeline_.ranks[rank]) {
      const auto& [op, chunk, microbatch, group] = timed.action;
      const double from = x(timed.start_s);
      const double length = x(timed.end_s) - from;
      if (op == Op::reduce) svg += rectangle(from, y(rank) + bar + 1, length, strip, sum_fill);
      if (!is_compute(op)) continue;
      const int pass = chunk / timeline_.placement.pipeline;
      svg += rectangle(from, y(rank), std::max(0.3, length - 0.6), bar, colour(pass, op));
      const std::string number = fmt::format("{}", microbatch);
      if (length < 7.0 * static_cast<double>(number.size())) continue;
      svg += text(from + length / 2, y(rank) + 17, op == Op::forward ? "number dark" : "number",
                  number);
    }
    const double update = timeline_.pipeline_s();
    return svg + rectangle(x(update), y(rank), x(end_s_) - x(update), bar, update_fill);
  }

  static constexpr const char* sum_fill = "#222";
  static constexpr const char* update_fill = "#999";

  const Timeline& timeline_;
  double end_s_;
};

}  // namespace

std::string timeline_svg(const Timeline& timeline) { return Drawing(timeline).run(); }

}  // namespace rondo
