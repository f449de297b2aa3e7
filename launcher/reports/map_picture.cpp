#include "launcher/reports/map_picture.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace rondo {
namespace {

constexpr int square = 16;  // pixels
constexpr int gap = 2;      // of these between squares

using Pixel = std::array<uint8_t, 3>;

/// Neighbouring ids get hues that are far apart.
Pixel colour_of(int id) {
  const double hue = std::fmod(id * 0.381966, 1.0);  // the golden angle, in turns
  Pixel pixel{};
  for (int channel = 0; channel < 3; ++channel) {
    const double k = std::fmod(channel / 3.0 + hue, 1.0) * 6.0;
    const double ramp = std::clamp(std::abs(k - 3.0) - 1.0, 0.0, 1.0);
    pixel[channel] = static_cast<uint8_t>(std::lround(70.0 + 150.0 * ramp));
  }
  return pixel;
}

}  // namespace

PictureSize map_png_size(const SharingMap& map) {
  return {map.depth() * square + gap, static_cast<int>(map.slots().size()) * square + gap};
}

std::string map_png(const SharingMap& map) {
  const auto [width, height] = map_png_size(map);
  std::vector<Pixel> pixels(static_cast<size_t>(width) * height, Pixel{255, 255, 255});
  const std::vector<Slot>& slots = map.slots();
  for (size_t row = 0; row < slots.size(); ++row) {
    for (int layer = 0; layer < map.depth(); ++layer) {
      const Pixel colour = colour_of(map.id(slots[row], layer));
      for (int y = gap; y < square; ++y) {
        for (int x = gap; x < square; ++x) {
          const size_t line = row * square + static_cast<size_t>(y);
          pixels[line * width + static_cast<size_t>(layer * square + x)] = colour;
        }
      }
    }
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  const int stride = 3 * width;
  if (png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), stride, nullptr) == 0) {
    throw std::runtime_error("libpng cannot write the picture of a sharing map");
  }
  std::string bytes(size, '\0');
  png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), stride, nullptr);
  bytes.resize(size);
  return bytes;
}

}  // namespace rondo
