#include "launcher/reports/paint.h"

#include <fmt/color.h>

#include <cstdlib>

#include "launcher/reports/progress.h"

namespace rondo {
namespace {

fmt::text_style style_of(Paint paint) {
  switch (paint) {
    case Paint::bold:
      return fmt::emphasis::bold;
    case Paint::good:
      return fmt::fg(fmt::terminal_color::green);
    case Paint::bad:
      return fmt::emphasis::bold | fmt::fg(fmt::terminal_color::red);
    case Paint::quiet:
      return fmt::fg(fmt::terminal_color::blue);
  }
  return {};
}

bool shows_colours(int descriptor) {
  const char* refused = std::getenv("NO_COLOR");
  return (refused == nullptr || *refused == '\0') && terminal_width(descriptor) > 0;
}

}  // namespace

std::string painted(const std::string& text, Paint paint, int descriptor) {
  return shows_colours(descriptor) ? fmt::format(style_of(paint), "{}", text) : text;
}

}  // namespace rondo
