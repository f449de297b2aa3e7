// The sharing map as a picture.
#pragma once

#include <string>

#include "model/definition/sharing_map.h"

namespace rondo {

/// The bytes of a PNG: a row for each slot, a square for each layer, of the colour of its
/// component.
std::string map_png(const SharingMap& map);

/// Columns and rows of that picture, in pixels.
struct PictureSize {
  int width = 0;
  int height = 0;
};
PictureSize map_png_size(const SharingMap& map);

}  // namespace rondo
